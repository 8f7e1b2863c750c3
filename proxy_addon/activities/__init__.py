"""What a request does in which application: told by the catalogue from its head, by the operations from its body,
and by the memory of objects where it only names one whose images went by before, for instance to share it."""

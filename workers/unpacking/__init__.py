"""Containers and documents taken apart inside the decode child: archives, office documents, PDF, mails."""

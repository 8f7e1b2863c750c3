"""The formats, one parser each: pictures of any size held in a few megabytes, frame by frame and strip by strip."""

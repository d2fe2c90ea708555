"""Which specimen it is: ids from a list, a keyboard, a scanner or the label in the frame."""

"""Changes: how any change is made: plan, apply, lock, undo and resume. What is changed lies in `actions`."""

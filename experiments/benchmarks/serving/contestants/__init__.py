"""Services to compare ours with, each written as its makers recommend. None of them is ours."""

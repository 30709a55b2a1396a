"""The experiments of the ASMNet paper, run again with keras-asm, and the numbers that the paper printed."""

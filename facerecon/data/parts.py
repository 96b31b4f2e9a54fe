"""The parts of a face that some data sets label, pixel by pixel."""

PART_LABELS: tuple[str, ...] = (
    *("skin", "nose", "eye_g", "l_eye", "r_eye", "l_brow", "r_brow", "l_ear", "r_ear", "mouth", "u_lip", "l_lip"),
    *("hair", "hat", "ear_r", "neck_l", "neck", "cloth"),
)
"""What the labels 1 to 18 of a face's parts mean (0 is none of them): names and order are CelebAMask-HQ's."""

"""What a decoding kernel says about the data (plain integers, shared by kernels and callers)."""

OK = 0
TRUNCATED = 1
BAD_CODEWORD = 2
BAD_LOCATION = 3
SHAPE_OUTSIDE = 4
BAD_SHAPE_VALUE = 5
SAMPLE_OUT_OF_RANGE = 6
NOTHING_NEW = 7
SHAPE_OVERLAPS = 8
FULL = 9

MESSAGES = {
    TRUNCATED: "the payload ends too early",
    BAD_CODEWORD: "no shape has this codeword",
    BAD_LOCATION: "a location lies beyond the plane's last cell",
    SHAPE_OUTSIDE: "a shape reaches outside the plane",
    BAD_SHAPE_VALUE: "a shape holds a value too large for this plane, or contradicts its neighbour",
    SAMPLE_OUT_OF_RANGE: "a sample is outside the range of its plane",
    NOTHING_NEW: "a shape is placed where its anchor is empty",
    SHAPE_OVERLAPS: "a shape lies on another",
}

"""The earth, as every distance here takes it: a sphere of the mean radius."""

# Mean radius R1 = 6,371,008.8 m, rounded (Moritz, Geodetic Reference System 1980, as the IUGG adopted it).
EARTH_RADIUS_M = 6_371_009

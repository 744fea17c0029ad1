package snapshot

// ContentDigest is for tests.
var ContentDigest = contentDigest

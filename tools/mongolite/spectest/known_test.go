package spectest_test

// known is why some tests fail here and will. A test that passes on mongolite
// may not be listed, nor one that does not exist.
type known struct {
	reason string
	tests  []string
}

var knownSpecs = []known{}

var knownLungo = []known{}

package boxoffice

import "os"

// createNames creates the database in which the sidecars register, empty and in WAL
// mode.
//
// Otherwise the first sidecar to open it would create it in rollback mode, and each one
// would try to switch it to WAL. The switch needs an exclusive lock, which fails while
// another sidecar reads. SQLite does not wait for the lock when that could be a
// deadlock. Dapr only logs the error: the sidecar then runs without name resolution.
func createNames(path string) error {
	return os.WriteFile(path, emptyWALDatabase(), 0o600)
}

// emptyWALDatabase returns an SQLite database of one page, without tables, in WAL mode.
// See https://sqlite.org/fileformat2.html, sections 1.3 and 1.6.
func emptyWALDatabase() []byte {
	const pageSize, headerSize = 4096, 100
	page := make([]byte, pageSize)
	copy(page, "SQLite format 3\x00")
	page[16] = pageSize >> 8
	page[18], page[19] = 2, 2                 // WAL, for writers and for readers
	page[21], page[22], page[23] = 64, 32, 32 // payload fractions, which are fixed
	page[27] = 1                              // the file change counter
	page[31] = 1                              // the size in pages
	page[47] = 4                              // the schema format
	page[59] = 1                              // UTF-8
	page[95] = 1                              // the change counter for which the size is valid

	schema := page[headerSize:]
	schema[0] = 13            // a leaf of a table's B-tree, without cells
	schema[5] = pageSize >> 8 // the start of the cells: the end of the page
	return page
}

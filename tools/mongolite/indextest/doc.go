// Package indextest tests mongolite's query planner and indexes.
//
// Every plan must give the same result as a scan of all documents. The
// differential test therefore sends the same random statements to a collection
// with indexes, to a collection without indexes, and to a model. The model keeps
// the documents in a slice and evaluates statements with the package mongokit of
// github.com/256dpi/lungo.
//
// Tables also state which index serves which query, and how many entries and
// documents the query examines.
package indextest

// Package query implements MongoDB's query language: filters, expressions,
// projections, sorts, updates and aggregation pipelines. It operates on
// documents in memory and does not depend on storage or on the network.
//
// Each of these is compiled before it runs. Compilation validates all of it, so
// an invalid statement fails even on an empty collection. A compiled value is
// safe for concurrent use. If a statement uses a MongoDB feature that this
// package lacks, compilation returns an error that names the feature. Its code
// is usually NotImplemented.
//
// No function modifies a document that it receives. Results may share parts
// with the documents they are made from.
//
// The package builds on github.com/256dpi/lungo. It uses the comparison, the
// types and the schemas of bsonkit, and the $mod and $bits operators of
// mongokit. It has its own implementation of the update operators, of paths
// through arrays, and of the treatment of null, NaN and overflow. In these cases
// mongokit panics or deviates from MongoDB.
package query

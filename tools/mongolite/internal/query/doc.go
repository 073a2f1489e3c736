// Package query implements MongoDB's query language: filters, expressions,
// projections, sorts, updates and aggregation pipelines. It operates on
// documents in memory and does not depend on storage or on the network.
//
// Each of these is compiled before it runs. Compilation validates all of it, so
// an invalid statement fails even on an empty collection. A compiled value is
// safe for concurrent use. If a statement uses a MongoDB feature that this
// package lacks, compilation returns a NotImplemented error that names it.
//
// No function modifies a document that it receives. Results may share parts
// with the documents they are made from.
//
// The package builds on github.com/256dpi/lungo. It uses the comparison, the
// types and the schemas of bsonkit, and the $mod and $bits operators of
// mongokit. It has its own implementation of paths through arrays, null, NaN,
// overflow and the update operators, because mongokit panics there or deviates
// from MongoDB.
package query

// Package query decides on documents: which a filter matches, what an
// expression yields, how a projection, a sort, an update and a pipeline change
// or order them. It knows neither storage nor network.
//
// Everything is compiled first and validated as a whole, so that an invalid
// statement fails on an empty collection too; a compiled value may then be used
// by many goroutines at once. What MongoDB has and this package has not is
// refused by its name. Documents that come in are never changed; those that go
// out may share parts with them.
//
// The base are github.com/256dpi/lungo's bsonkit (comparison, types) and
// mongokit ($mod, the $bits family, $jsonSchema, and the array operators of
// updates). Paths through arrays, null, NaN and numeric overflow are this
// package's own, because there mongokit departs from MongoDB.
package query

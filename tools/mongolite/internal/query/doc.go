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
// The base is github.com/256dpi/lungo: bsonkit's comparison and types, mongokit's
// $mod and $bits operators, bsonkit's schemas. Paths through arrays, null, NaN,
// overflow and the update operators are this package's own, because there
// mongokit departs from MongoDB or panics.
package query

// Package spectest runs third-party tests for MongoDB against mongolite:
//
//   - MongoDB's CRUD and retryable writes specification tests, with the runners of
//     the official Go drivers; and
//   - those of lungo's tests that need a server.
//
// The package is a separate module, so that the dependencies of these tests stay
// out of the server's module. It contains no copy of the tests. It compiles the
// test packages of the drivers and of lungo as the module proxy delivers them, and
// runs them against a server on 127.0.0.1.
//
// A test may fail only if known_test.go lists it with a reason, and a test on
// that list must fail. The results are recorded in tables in ../docs:
//
//	go test ./...            run the tests and compare the results with the tables
//	go test ./... -update    run the tests and write the tables
//
// With -race, the server and the test packages are built with the race detector
// too. If MONGOLITE_URI is set, the tests use the running server at that address
// and do not compare the tables.
package spectest

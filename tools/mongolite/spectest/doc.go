// Package spectest holds mongolite against the tests that MongoDB and lungo
// wrote for MongoDB: the CRUD and retryable writes specifications, run by the
// official Go drivers' own runners, and the half of lungo's tests that talks to
// a server.
//
// It is a module of its own so that what those tests import stays out of the
// server's module. Nothing of the specifications is copied: the test packages
// of the drivers and of lungo are compiled as they come from the module proxy
// and run against the server, on 127.0.0.1 only.
//
// A test that fails must be on the list in known_test.go, with its reason, and
// one that is on the list must fail. The tables in ../docs are what the last
// run found:
//
//	go test ./...            run, compare with the tables
//	go test ./... -update    run, write the tables
//
// With -race the server, the runners and this package are all built so.
// MONGOLITE_URI names a server that already runs; then the tables are not
// compared.
package spectest

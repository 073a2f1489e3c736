// Package boxoffice starts Boxoffice: it chooses and starts the stores, builds
// and starts the sidecars and apps with their environment, and prints the ready
// screen. Everything that is specific to Boxoffice is in this package; supervise
// and buildcache handle processes and builds in general.
//
// A start goes through these steps. Each is a method of stack:
//
//	prepare      secrets, ports and directories
//	checkPorts   a port that is in use ends the start before anything runs
//	buildAll     programs that must run before the stack is ready
//	startStores  NATS, Redis, MongoDB, Jaeger
//	provision    tools/streams creates the streams
//	sentryStage  the certificate authority, with mTLS only
//	appStages    sidecars, then apps, then the gateway
//
// Jaeger is an exception. Only traces need it, and its build takes longer than
// any other. If it has not been built before, it is built in the background
// after the ready screen; see late.go.
package boxoffice

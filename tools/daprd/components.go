package main

import (
	"github.com/dapr/components-contrib/bindings/cron"
	lockredis "github.com/dapr/components-contrib/lock/redis"
	"github.com/dapr/components-contrib/nameresolution/mdns"
	nrsqlite "github.com/dapr/components-contrib/nameresolution/sqlite"
	contribpubsub "github.com/dapr/components-contrib/pubsub"
	pubsubmemory "github.com/dapr/components-contrib/pubsub/in-memory"
	"github.com/dapr/components-contrib/pubsub/kafka"
	"github.com/dapr/components-contrib/pubsub/rabbitmq"
	pubsubredis "github.com/dapr/components-contrib/pubsub/redis"
	"github.com/dapr/components-contrib/secretstores/local/env"
	"github.com/dapr/components-contrib/secretstores/local/file"
	statememory "github.com/dapr/components-contrib/state/in-memory"
	"github.com/dapr/components-contrib/state/mongodb"
	stateredis "github.com/dapr/components-contrib/state/redis"
	statesqlite "github.com/dapr/components-contrib/state/sqlite"
	"github.com/dapr/dapr/pkg/components/bindings"
	"github.com/dapr/dapr/pkg/components/lock"
	"github.com/dapr/dapr/pkg/components/nameresolution"
	"github.com/dapr/dapr/pkg/components/pubsub"
	"github.com/dapr/dapr/pkg/components/secretstores"
	"github.com/dapr/dapr/pkg/components/state"
	"github.com/dapr/dapr/pkg/runtime/registry"
	"github.com/dapr/kit/logger"
)

// components returns all that this sidecar can load. A resource of another
// type fails as an unknown one does in the official binary, and keeps the
// sidecar from starting unless it says ignoreErrors.
//
// The registries are our own, not Dapr's process-wide ones, so pluggable
// components, which register themselves there, are not found.
func components(log logger.Logger, w watch) *registry.Options {
	return registry.NewOptions().
		WithPubSubs(pubSubs(log, w)).
		WithStateStores(stateStores(log)).
		WithLocks(locks(log)).
		WithBindings(inputBindings(log)).
		WithSecretStores(secretStores(log)).
		WithNameResolutions(nameResolutions(log))
}

func pubSubs(log logger.Logger, w watch) *pubsub.Registry {
	jetStream := func(log logger.Logger) contribpubsub.PubSub { return newBroker(log, w) }
	r := pubsub.NewRegistry()
	r.Logger = log
	r.RegisterComponent(jetStream, "jetstream")               // the broker of choice, embeddable in development
	r.RegisterComponent(pubsubredis.NewRedisStreams, "redis") // for those who run Redis and want no second server
	r.RegisterComponent(rabbitmq.NewRabbitMQ, "rabbitmq")     // proof that the broker can be swapped
	r.RegisterComponent(kafka.NewKafka, "kafka")              // the same, for a log instead of a queue
	r.RegisterComponent(pubsubmemory.New, "in-memory")        // tests of a single sidecar: it never leaves the process
	return r
}

func stateStores(log logger.Logger) *state.Registry {
	r := state.NewRegistry()
	r.Logger = log
	r.RegisterComponent(mongodb.NewMongoDB, "mongodb")                  // production
	r.RegisterComponent(stateredis.NewRedisStateStore, "redis")         // state that may expire and may be lost
	r.RegisterComponent(statesqlite.NewSQLiteStateStore, "sqlite")      // one machine, survives a restart, needs no server
	r.RegisterComponent(statememory.NewInMemoryStateStore, "in-memory") // tests
	return r
}

func locks(log logger.Logger) *lock.Registry {
	r := lock.NewRegistry()
	r.Logger = log
	r.RegisterComponent(lockredis.NewStandaloneRedisLock, "redis") // the only lock that Dapr has
	return r
}

func inputBindings(log logger.Logger) *bindings.Registry {
	r := bindings.NewRegistry()
	r.Logger = log
	r.RegisterInputBinding(cron.NewCron, "cron") // periodic work without a scheduler service
	return r
}

func secretStores(log logger.Logger) *secretstores.Registry {
	r := secretstores.NewRegistry()
	r.Logger = log
	r.RegisterComponent(env.NewEnvSecretStore, "local.env")     // secrets that the supervisor exports
	r.RegisterComponent(file.NewLocalSecretStore, "local.file") // secrets mounted as a file
	return r
}

func nameResolutions(log logger.Logger) *nameresolution.Registry {
	r := nameresolution.NewRegistry()
	r.Logger = log
	r.RegisterComponent(mdns.NewResolver, "mdns")       // Dapr's default when no configuration names another
	r.RegisterComponent(nrsqlite.NewResolver, "sqlite") // one machine where multicast is blocked
	return r
}

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

// components returns all components that this sidecar can load. A resource of
// another type fails like an unknown type in the official binary: it prevents the
// sidecar from starting unless the resource sets ignoreErrors.
//
// The registries are separate from Dapr's process-wide ones. Pluggable components
// register themselves in the latter, so this sidecar does not find them.
func components(log logger.Logger, w watchConfig) *registry.Options {
	return registry.NewOptions().
		WithPubSubs(pubSubs(log, w)).
		WithStateStores(stateStores(log)).
		WithLocks(locks(log)).
		WithBindings(inputBindings(log)).
		WithSecretStores(secretStores(log)).
		WithNameResolutions(nameResolutions(log))
}

func pubSubs(log logger.Logger, w watchConfig) *pubsub.Registry {
	jetStream := func(log logger.Logger) contribpubsub.PubSub { return newBroker(log, w) }
	r := pubsub.NewRegistry()
	r.Logger = log
	r.RegisterComponent(jetStream, "jetstream")               // the default broker, which devstack embeds
	r.RegisterComponent(pubsubredis.NewRedisStreams, "redis") // for installations that already run Redis
	r.RegisterComponent(rabbitmq.NewRabbitMQ, "rabbitmq")     // shows that the broker can be replaced by another queue
	r.RegisterComponent(kafka.NewKafka, "kafka")              // shows that the broker can be replaced by a log
	r.RegisterComponent(pubsubmemory.New, "in-memory")        // for tests of a single sidecar
	return r
}

func stateStores(log logger.Logger) *state.Registry {
	r := state.NewRegistry()
	r.Logger = log
	r.RegisterComponent(mongodb.NewMongoDB, "mongodb")                  // for production
	r.RegisterComponent(stateredis.NewRedisStateStore, "redis")         // for state that may expire and may be lost
	r.RegisterComponent(statesqlite.NewSQLiteStateStore, "sqlite")      // for one machine: survives a restart and needs no server
	r.RegisterComponent(statememory.NewInMemoryStateStore, "in-memory") // for tests
	return r
}

func locks(log logger.Logger) *lock.Registry {
	r := lock.NewRegistry()
	r.Logger = log
	r.RegisterComponent(lockredis.NewStandaloneRedisLock, "redis") // the only lock component of Dapr
	return r
}

func inputBindings(log logger.Logger) *bindings.Registry {
	r := bindings.NewRegistry()
	r.Logger = log
	r.RegisterInputBinding(cron.NewCron, "cron") // for periodic work without the Scheduler service
	return r
}

func secretStores(log logger.Logger) *secretstores.Registry {
	r := secretstores.NewRegistry()
	r.Logger = log
	r.RegisterComponent(env.NewEnvSecretStore, "local.env")     // for secrets in environment variables
	r.RegisterComponent(file.NewLocalSecretStore, "local.file") // for secrets in a file
	return r
}

func nameResolutions(log logger.Logger) *nameresolution.Registry {
	r := nameresolution.NewRegistry()
	r.Logger = log
	r.RegisterComponent(mdns.NewResolver, "mdns")       // Dapr's default
	r.RegisterComponent(nrsqlite.NewResolver, "sqlite") // for one machine on which multicast is blocked
	return r
}

package spectest_test

// These are the modules whose test packages are run. The imports keep them, and
// the dependencies of their tests, in go.mod and go.sum.
import (
	_ "github.com/256dpi/lungo"
	_ "go.mongodb.org/mongo-driver/mongo"
	_ "go.mongodb.org/mongo-driver/v2/mongo"
)

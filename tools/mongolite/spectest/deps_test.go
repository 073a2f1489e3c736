package spectest_test

// The modules whose test packages are run; imported so that go.mod and go.sum
// name them and what their tests need.
import (
	_ "github.com/256dpi/lungo"
	_ "go.mongodb.org/mongo-driver/mongo"
	_ "go.mongodb.org/mongo-driver/v2/mongo"
)

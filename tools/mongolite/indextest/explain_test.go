package indextest_test

import "go.mongodb.org/mongo-driver/bson"

// planned is what explain says of a plan.
type planned struct {
	stage   string // IXSCAN, COLLSCAN or EOF
	index   string
	sorts   bool // in a stage of its own
	reverse bool
	bounds  bson.D
}

func readPlan(reply bson.D) (p planned) {
	stage, _ := at(reply, "queryPlanner", "winningPlan").(bson.D)
	for stage != nil {
		switch name, _ := at(stage, "stage").(string); name {
		case "SORT":
			p.sorts = true
		case "FETCH":
		default:
			p.stage = name
			p.index, _ = at(stage, "indexName").(string)
			p.reverse = at(stage, "direction") == "backward"
			p.bounds, _ = at(stage, "indexBounds").(bson.D)
		}
		stage, _ = at(stage, "inputStage").(bson.D)
	}
	return p
}

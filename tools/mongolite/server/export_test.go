package server

import "strings"

// CommandTable is what the server knows of a command, for the tests that hold
// the docs against it.
type CommandTable struct{ Does, Accepts, Lacks []string }

// Lacks are the fields that the parts of commands have in MongoDB and not here.
var Lacks = map[string][]string{
	"createIndexes.indexes": strings.Fields(indexUnsupported),
	"update.updates":        updateUnsupported,
	"delete.deletes":        deleteUnsupported,
}

// Commands returns the tables of all commands by name.
func Commands() map[string]CommandTable {
	tables := map[string]CommandTable{}
	for name, c := range newCommands() {
		tables[name] = CommandTable{strings.Fields(c.supported), strings.Fields(c.ignored), strings.Fields(c.unsupported)}
	}
	return tables
}

// LackedByAll returns the fields that are refused in any command.
func LackedByAll() []string { return strings.Fields(genericUnsupported) }

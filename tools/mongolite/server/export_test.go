package server

import "strings"

// UnsupportedCommandFields returns the unsupported fields of every command, by the
// name of the command.
func UnsupportedCommandFields() map[string][]string {
	fields := map[string][]string{}
	for name, c := range newCommands() {
		fields[name] = strings.Fields(c.unsupported)
	}
	return fields
}

// UnsupportedStatementFields holds the unsupported fields of the elements of arrays
// in commands, by command and array.
var UnsupportedStatementFields = map[string][]string{
	"createIndexes.indexes": strings.Fields(indexUnsupported),
	"update.updates":        updateUnsupported,
	"delete.deletes":        deleteUnsupported,
}

// UnsupportedGenericFields returns the fields that every command rejects.
func UnsupportedGenericFields() []string { return strings.Fields(genericUnsupported) }

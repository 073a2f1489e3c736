// Package indextest holds the planner and the indexes of mongolite against
// documents in a plain slice.
//
// Whatever the planner chooses, an answer must be the one that a look at every
// document gives. So the tests here send the same random statements to a
// collection with indexes, to one without, and to a model of a few lines over
// github.com/256dpi/lungo's mongokit; beside that, tables say which index
// serves which query and how much it has to examine.
package indextest

package query

// Positional update operators and array filters:
// https://www.mongodb.com/docs/manual/reference/operator/update-array/

import (
	"regexp"
	"slices"
	"strconv"
	"strings"

	"go.mongodb.org/mongo-driver/bson"

	"boxoffice/tools/mongolite/internal/mongoerr"
)

// resolvePath replaces the positional operators in path[from:] with array indexes
// and returns the resulting paths. The operator $ stands for the element that
// the filter f matched in doc, $[] for all elements, and $[identifier] for the
// elements that the array filter with that identifier matches.
func (u *Update) resolvePath(v any, path []string, from int, doc bson.D, f *Filter) ([][]string, error) {
	i := from + slices.IndexFunc(path[from:], isPositional)
	if i < from {
		return [][]string{path}, nil
	}
	array := path[:i]
	arr, ok := get(v, array).(bson.A)
	if !ok && path[i] == "$" {
		return nil, noMatchedElementError()
	}
	if !ok {
		return nil, mongoerr.New(mongoerr.BadValue, "The path '%s' must exist in the document in order to apply array updates.", strings.Join(array, "."))
	}
	selected, err := u.selectElements(arr, path, i, doc, f)
	if err != nil {
		return nil, err
	}
	var out [][]string
	for _, at := range selected {
		concrete := slices.Clone(path)
		concrete[i] = strconv.Itoa(at)
		more, err := u.resolvePath(v, concrete, i+1, doc, f)
		if err != nil {
			return nil, err
		}
		out = append(out, more...)
	}
	return out, nil
}

func isPositional(part string) bool { return part == "$" || strings.HasPrefix(part, "$[") }

func noMatchedElementError() error {
	return mongoerr.New(mongoerr.BadValue, "The positional operator did not find the match needed from the query.")
}

// selectElements returns the indexes of the elements of arr that the positional
// operator path[i] selects.
func (u *Update) selectElements(arr bson.A, path []string, i int, doc bson.D, f *Filter) ([]int, error) {
	if path[i] == "$" {
		if f == nil {
			return nil, noMatchedElementError()
		}
		at, ok := f.matchedElement(doc, path[:i])
		if !ok || at >= len(arr) {
			return nil, noMatchedElementError()
		}
		return []int{at}, nil
	}
	name := identifier(path[i])
	var out []int
	for at, e := range arr {
		ok := name == ""
		if !ok {
			var err error
			if ok, err = u.filters[name].Match(bson.D{{Key: name, Value: e}}); err != nil {
				return nil, err
			}
		}
		if ok {
			out = append(out, at)
		}
	}
	return out, nil
}

// identifier returns the identifier in $[identifier], which is empty in $[].
func identifier(part string) string { return strings.TrimSuffix(strings.TrimPrefix(part, "$["), "]") }

var validIdentifier = regexp.MustCompile(`^[a-z][a-zA-Z0-9]*$`)

// compileArrayFilters compiles the array filters. It returns an error unless each
// filter has exactly one top-level field, which is its identifier.
func (u *Update) compileArrayFilters(list bson.A, vars *Vars) error {
	u.filters = map[string]*Filter{}
	for _, v := range list {
		d, ok := v.(bson.D)
		if !ok {
			return mongoerr.New(mongoerr.TypeMismatch, "Each array filter must be an object, found: %s", typeName(v))
		}
		f, err := CompileFilter(d, vars)
		if err != nil {
			return err
		}
		roots := slices.Compact(slices.Sorted(slices.Values(f.root.rootFields(nil))))
		switch {
		case len(roots) == 0:
			return mongoerr.New(mongoerr.FailedToParse, "Cannot use an expression without a top-level field name in arrayFilters")
		case len(roots) > 1:
			return mongoerr.New(mongoerr.FailedToParse, "Error parsing array filter :: caused by :: Expected a single top-level field name, found '%s' and '%s'", roots[0], roots[1])
		case !validIdentifier.MatchString(roots[0]):
			return mongoerr.New(mongoerr.BadValue, "Error parsing array filter :: caused by :: The top-level field name must be an alphanumeric string beginning with a lowercase letter, found '%s'", roots[0])
		case u.filters[roots[0]] != nil:
			return mongoerr.New(mongoerr.FailedToParse, "Found multiple array filters with the same top-level field name %s", roots[0])
		}
		u.filters[roots[0]] = f
	}
	return nil
}

// checkFilterUse returns an error if the update does not use one of its array
// filters.
func (u *Update) checkFilterUse(update bson.D) error {
	for name := range u.filters {
		part := "$[" + name + "]"
		if !slices.ContainsFunc(u.changes, func(c change) bool { return slices.Contains(c.path, part) }) {
			return mongoerr.New(mongoerr.FailedToParse, "The array filter for identifier '%s' was not used in the update %s", name, describe(update))
		}
	}
	return nil
}

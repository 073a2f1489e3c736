package indextest_test

import (
	"flag"
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"sync"
	"testing"

	"go.mongodb.org/mongo-driver/bson"
)

var (
	seed  = flag.Uint64("seed", 1, "seed of the random cases")
	cases = flag.Int("cases", defaultCases, "number of random cases")
)

// casesPerDataset is the number of cases that run on the same random documents
// and indexes.
const casesPerDataset = 50

// TestResultsDoNotDependOnIndexes runs random statements on a collection with
// indexes, on one without, and on a model. The results must be the same. The
// flags -seed and -cases select other cases.
func TestResultsDoNotDependOnIndexes(t *testing.T) {
	addr := startServer(t)
	total := tally{}
	t.Cleanup(func() {
		for _, name := range sortedKeys(total) {
			t.Logf("%8d %s", total[name], name)
		}
	})
	const shards = 4
	var mu sync.Mutex // guards total
	for shard := range shards {
		t.Run(fmt.Sprint("shard=", shard), func(t *testing.T) {
			t.Parallel()
			c, count := dial(t, addr), tally{}
			for n := shard; n*casesPerDataset < *cases && !t.Failed(); n += shards {
				g := gen{rand.New(rand.NewPCG(*seed, uint64(n))), ""}
				g.scalarFields = pick(g, "", "b", "bc", "abc", "abc")
				runDataset(t, c, g, n, count)
			}
			mu.Lock()
			defer mu.Unlock()
			for name, n := range count {
				total[name] += n
			}
		})
	}
}

// sortedKeys returns the names of m in order.
func sortedKeys(m tally) (names []string) {
	for name := range m {
		names = append(names, name)
	}
	slices.Sort(names)
	return names
}

// runDataset generates documents and indexes and runs casesPerDataset statements
// on them. It stops at the first failure, which it reports with a minimal
// example.
func runDataset(t *testing.T, c *client, g gen, dataset int, count tally) {
	var docs []bson.D
	for i := range 10 + g.IntN(25) {
		docs = append(docs, g.document(int32(i)))
	}
	var indexes []*index
	for i := range 1 + g.IntN(5) {
		key, options := g.index()
		ix, err := newIndex(fmt.Sprintf("ix%d", i), key, options)
		if err != nil {
			t.Fatal(err)
		}
		if !slices.ContainsFunc(indexes, func(o *index) bool { return same(o.key, key) }) {
			indexes = append(indexes, ix)
		}
	}
	cs, err := newCollections(c, fmt.Sprintf("r%d", dataset), docs, indexes, g.IntN(len(indexes)+1), count)
	if err != nil {
		t.Errorf("seed %d, data set %d, initial documents: %v", *seed, dataset, err)
		return
	}
	for i := range casesPerDataset {
		s := cs.randomStatement(g, int32(1000+i))
		docs := slices.Clone(cs.docs)
		err := cs.run(s)
		if err == nil && i%10 == 9 {
			err = cs.verifyIndexes()
		}
		if err != nil {
			t.Errorf("seed %d, data set %d, case %d (-run TestResultsDoNotDependOnIndexes -seed %d): %v\n%s", *seed, dataset, i, *seed, err, minimize(c, cs.name, docs, cs.indexes, s))
			return
		}
		if s.kind == "find" && i%5 == 0 {
			cs.countPlan(s)
		}
	}
	cs.drop()
}

// countPlan counts how a find is planned. The counts show whether the cases use
// the indexes.
func (cs *collections) countPlan(s statement) {
	reply, err := cs.c.run(bson.D{{Key: "explain", Value: s.command(cs.indexed(), true)}, {Key: "verbosity", Value: "queryPlanner"}})
	if err != nil {
		return
	}
	p := readPlan(reply)
	switch {
	case p.stage == "IXSCAN" && p.hasSort:
		cs.count["plan: IXSCAN and SORT"]++
	case p.stage == "IXSCAN" && len(s.sort) > 0:
		cs.count["plan: IXSCAN in order"]++
	default:
		cs.count["plan: "+p.stage]++
	}
}

// minimize removes documents, indexes, conditions and fields as long as the
// statement still fails, and describes the rest.
func minimize(c *client, name string, docs []bson.D, indexes []*index, s statement) string {
	n := 0
	run := func(docs []bson.D, indexes []*index, s statement) error {
		n++
		cs, err := newCollections(c, fmt.Sprintf("%sm%d", name, n), docs, indexes, 0, tally{})
		defer cs.drop()
		if err == nil {
			err = cs.run(s)
		}
		if err == nil {
			err = cs.verifyIndexes()
		}
		return err
	}
	if run(docs, indexes, s) == nil {
		return "not reproduced on new collections: " + describe(docs, indexes, s)
	}
	shrink := func(length int, without func(int) bool) {
		for i := length - 1; i >= 0; i-- {
			without(i)
		}
	}
	shrink(len(docs), func(i int) bool {
		fewer := slices.Delete(slices.Clone(docs), i, i+1)
		if run(fewer, indexes, s) == nil {
			return false
		}
		docs = fewer
		return true
	})
	shrink(len(indexes), func(i int) bool {
		fewer := slices.Delete(slices.Clone(indexes), i, i+1)
		if indexes[i].name == s.hint || run(docs, fewer, s) == nil {
			return false
		}
		indexes = fewer
		return true
	})
	for _, part := range []*bson.D{&s.filter, &s.sort} {
		shrink(len(*part), func(i int) bool {
			whole := *part
			if *part = slices.Delete(slices.Clone(whole), i, i+1); run(docs, indexes, s) == nil {
				*part = whole
				return false
			}
			return true
		})
	}
	for d := range docs {
		shrink(len(docs[d])-1, func(i int) bool {
			whole := docs[d]
			if docs[d] = slices.Delete(slices.Clone(whole), i+1, i+2); run(docs, indexes, s) == nil {
				docs[d] = whole
				return false
			}
			return true
		})
	}
	return fmt.Sprintf("minimal example: %s\n%v", describe(docs, indexes, s), run(docs, indexes, s))
}

// describe returns the statement, the indexes and the documents as text.
func describe(docs []bson.D, indexes []*index, s statement) string {
	var b strings.Builder
	fmt.Fprintf(&b, "%s\n", extJSON(s.command("c", true)))
	for _, ix := range indexes {
		fmt.Fprintf(&b, "  index %s %s\n", ix.name, ix.describe())
	}
	for _, d := range docs {
		fmt.Fprintf(&b, "  %s\n", extJSON(d))
	}
	return b.String()
}

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
	seed  = flag.Uint64("seed", 1, "of the random cases")
	cases = flag.Int("cases", defaultCases, "how many random cases")
)

const perRound = 50

// TestDifferential is the same answer with indexes, without, and by the model,
// ten thousand times (with -race less often). -seed and -cases choose others.
func TestDifferential(t *testing.T) {
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
			for round := shard; round*perRound < *cases && !t.Failed(); round += shards {
				g := gen{rand.New(rand.NewPCG(*seed, uint64(round))), ""}
				g.flat = pick(g, "", "b", "bc", "abc", "abc")
				runRound(t, c, g, round, count)
			}
			mu.Lock()
			defer mu.Unlock()
			for name, n := range count {
				total[name] += n
			}
		})
	}
}

func sortedKeys(m tally) (names []string) {
	for name := range m {
		names = append(names, name)
	}
	slices.Sort(names)
	return names
}

func runRound(t *testing.T, c *client, g gen, round int, count tally) {
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
	w, err := newWorld(c, fmt.Sprintf("r%d", round), docs, indexes, g.IntN(len(indexes)+1), count)
	if err != nil {
		t.Errorf("seed %d, round %d, at the start: %v", *seed, round, err)
		return
	}
	for i := range perRound {
		s := w.random(g, int32(1000+i))
		docs := slices.Clone(w.docs)
		err := w.run(s)
		if err == nil && i%10 == 9 {
			err = w.verifyIndexes()
		}
		if err != nil {
			t.Errorf("seed %d, round %d, case %d (-run TestDifferential -seed %d): %v\n%s", *seed, round, i, *seed, err, minimal(c, w.name, docs, w.indexes, s))
			return
		}
		if s.kind == "find" && i%5 == 0 {
			w.countPlan(s)
		}
	}
	w.drop()
}

// countPlan notes how a find is planned, so that it shows if the cases do not
// reach the indexes.
func (w *world) countPlan(s statement) {
	reply, err := w.c.run(bson.D{{Key: "explain", Value: s.command(w.indexed(), true)}, {Key: "verbosity", Value: "queryPlanner"}})
	if err != nil {
		return
	}
	p := readPlan(reply)
	switch {
	case p.stage == "IXSCAN" && p.sorts:
		w.count["plan: IXSCAN and SORT"]++
	case p.stage == "IXSCAN" && len(s.sort) > 0:
		w.count["plan: IXSCAN in order"]++
	default:
		w.count["plan: "+p.stage]++
	}
}

// minimal takes away what a failure does not need and returns the rest.
func minimal(c *client, name string, docs []bson.D, indexes []*index, s statement) string {
	n := 0
	fails := func(docs []bson.D, indexes []*index, s statement) error {
		n++
		w, err := newWorld(c, fmt.Sprintf("%sm%d", name, n), docs, indexes, 0, tally{})
		defer w.drop()
		if err == nil {
			err = w.run(s)
		}
		if err == nil {
			err = w.verifyIndexes()
		}
		return err
	}
	if fails(docs, indexes, s) == nil {
		return "it does not fail on fresh collections: " + describe(docs, indexes, s)
	}
	shrink := func(length int, without func(int) bool) {
		for i := length - 1; i >= 0; i-- {
			without(i)
		}
	}
	shrink(len(docs), func(i int) bool {
		fewer := slices.Delete(slices.Clone(docs), i, i+1)
		if fails(fewer, indexes, s) == nil {
			return false
		}
		docs = fewer
		return true
	})
	shrink(len(indexes), func(i int) bool {
		fewer := slices.Delete(slices.Clone(indexes), i, i+1)
		if indexes[i].name == s.hint || fails(docs, fewer, s) == nil {
			return false
		}
		indexes = fewer
		return true
	})
	for _, part := range []*bson.D{&s.filter, &s.sort} {
		shrink(len(*part), func(i int) bool {
			whole := *part
			if *part = slices.Delete(slices.Clone(whole), i, i+1); fails(docs, indexes, s) == nil {
				*part = whole
				return false
			}
			return true
		})
	}
	for d := range docs {
		shrink(len(docs[d])-1, func(i int) bool {
			whole := docs[d]
			if docs[d] = slices.Delete(slices.Clone(whole), i+1, i+2); fails(docs, indexes, s) == nil {
				docs[d] = whole
				return false
			}
			return true
		})
	}
	return fmt.Sprintf("minimal: %s\n%v", describe(docs, indexes, s), fails(docs, indexes, s))
}

func describe(docs []bson.D, indexes []*index, s statement) string {
	var b strings.Builder
	fmt.Fprintf(&b, "%s\n", text(s.command("c", true)))
	for _, ix := range indexes {
		fmt.Fprintf(&b, "  index %s %s\n", ix.name, ix.describe())
	}
	for _, d := range docs {
		fmt.Fprintf(&b, "  %s\n", text(d))
	}
	return b.String()
}

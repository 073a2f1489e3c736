package main

import (
	"fmt"
	"runtime"
	"text/tabwriter"
	"time"
)

// report prints the tables of the ladder.
func (b *bench) report(results []*result, idle usage) {
	find := func(name string) *result {
		for _, r := range results {
			if r.name == name {
				return r
			}
		}
		return nil
	}
	hop := find(hopRung)
	b.say("\n")
	b.table(func(row func(cells ...any)) {
		for _, r := range results {
			row(r.name, r.what)
		}
	})
	b.say("\n%d processors, %d clients, %d rounds of %s: median (lowest .. highest)\n\n",
		runtime.NumCPU(), b.clients, b.rounds, b.settings.block)
	b.table(func(row func(cells ...any)) {
		row("rung", "requests/s", "of the Dapr hop", "p50", "p99", "CPU/request", "facts settled")
		for _, r := range results {
			settled := ""
			if r.books {
				settled = r.middle(func(b block) time.Duration { return b.settled })
			}
			row(r.name, whole(spreadOf(r.rates())), parts(spreadOf(ratios(r.rates(), hop.rates()))),
				r.middle(func(b block) time.Duration { return percentile(b.times, 50) }),
				r.middle(func(b block) time.Duration { return percentile(b.times, 99) }),
				fmt.Sprintf("%.2f ms", r.cost(idle).cpu()), settled)
		}
	})
	b.say("\nround trips for each request, counted at the servers, without those of the idle stack\n\n")
	b.table(func(row func(cells ...any)) {
		row("rung", "MongoDB", "Redis", "app to sidecar", "sidecar to sidecar", "sidecar to app")
		for _, r := range results {
			row(append([]any{r.name}, r.cost(idle).cells("%.2f", counters)...)...)
		}
		row(append([]any{"idle, each second"}, idle.cells("%.1f", counters)...)...)
	})
	b.say("\nCPU for each request by process, ms, without that of the idle stack\n\n")
	b.table(func(row func(cells ...any)) {
		row(names("rung", groups)...)
		for _, r := range results {
			row(append([]any{r.name}, r.cost(idle).cells("%.3f", clocks())...)...)
		}
		row(append([]any{"idle, each second"}, idle.cells("%.1f", clocks())...)...)
	})
	if hot, spread := find(hotRung), find(spreadRung); hot != nil && spread != nil {
		b.say("\nbookings on one hot event: %s of the Dapr hop, %s of bookings on %d events\n",
			parts(spreadOf(ratios(hot.rates(), hop.rates()))), parts(spreadOf(ratios(hot.rates(), spread.rates()))), manyEvents)
	}
}

// reportGrowth prints what a booking costs after few and after many.
func (b *bench) reportGrowth(few, fewHops, many, manyHops *result, idle usage) {
	b.say("\n%d clients, %d blocks of %d bookings, each after a block of hops: median (lowest .. highest)\n\n",
		b.clients, b.rounds, early)
	inHops := func(bookings, hops *result) spread { return spreadOf(ratios(hops.rates(), bookings.rates())) }
	b.table(func(row func(cells ...any)) {
		row("bookings before", "bookings/s", "hops/s", "a booking in hops", "CPU/booking", "CPU/hop")
		for _, l := range []struct {
			name           string
			bookings, hops *result
		}{{fmt.Sprint(early), few, fewHops}, {fmt.Sprint(b.after), many, manyHops}} {
			row(l.name, whole(spreadOf(l.bookings.rates())), whole(spreadOf(l.hops.rates())), parts(inHops(l.bookings, l.hops)),
				fmt.Sprintf("%.2f ms", l.bookings.cost(idle).cpu()), fmt.Sprintf("%.2f ms", l.hops.cost(idle).cpu()))
		}
	})
	cpu := func(bookings, hops *result) float64 { return bookings.cost(idle).cpu() / hops.cost(idle).cpu() }
	b.say("\nafter %d bookings one costs %.2f times what it cost after %d, in hops; %.2f times in processor time\n",
		b.after, inHops(many, manyHops).median/inHops(few, fewHops).median, early, cpu(many, manyHops)/cpu(few, fewHops))
}

// table prints rows in columns.
func (b *bench) table(fill func(row func(cells ...any))) {
	w := tabwriter.NewWriter(b.out, 0, 0, 2, ' ', 0)
	fill(func(cells ...any) {
		for i, c := range cells {
			if i > 0 {
				_, _ = fmt.Fprint(w, "\t")
			}
			_, _ = fmt.Fprint(w, c)
		}
		_, _ = fmt.Fprintln(w)
	})
	_ = w.Flush() // as say
}

// middle is the median of what the rounds have.
func (r *result) middle(of func(block) time.Duration) string {
	var all []float64
	for _, b := range r.blocks {
		all = append(all, float64(of(b)))
	}
	d := time.Duration(spreadOf(all).median)
	return d.Round(max(10*time.Microsecond, d/100).Truncate(10 * time.Microsecond)).String()
}

func whole(s spread) string { return fmt.Sprintf("%.0f (%.0f .. %.0f)", s.median, s.low, s.high) }
func parts(s spread) string { return fmt.Sprintf("%.3f (%.3f .. %.3f)", s.median, s.low, s.high) }

func (u usage) cells(format string, of []string) []any {
	var all []any
	for _, name := range of {
		cell := "-" // nobody counts it here
		if n, ok := u[name]; ok {
			cell = fmt.Sprintf(format, n)
		}
		all = append(all, cell)
	}
	return all
}

// cpu is the processor time of all groups.
func (u usage) cpu() (ms float64) {
	for _, g := range groups {
		ms += u[cpu(g)]
	}
	return ms
}

func clocks() []string {
	var all []string
	for _, g := range groups {
		all = append(all, cpu(g))
	}
	return all
}

func names(first string, rest []string) []any {
	all := []any{first}
	for _, n := range rest {
		all = append(all, n)
	}
	return all
}

package main

import (
	"fmt"
	"runtime"
	"text/tabwriter"
	"time"
)

// report prints the tables of results. idle is the usage of an idle stack per second.
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
	b.printf("\n")
	b.table(func(row func(cells ...any)) {
		for _, r := range results {
			row(r.name, r.description)
		}
	})
	b.printf("\n%d processors, %d clients, %d rounds of %s each: median (lowest .. highest)\n\n",
		runtime.NumCPU(), b.clients, b.rounds, b.block)
	b.table(func(row func(cells ...any)) {
		row("rung", "requests/s", "of the Dapr hop", "p50", "p99", "CPU/request", "facts settled")
		for _, r := range results {
			settled := ""
			if r.publishesFacts {
				settled = r.median(func(b block) time.Duration { return b.settled })
			}
			row(r.name, formatRates(spreadOf(r.rates())), formatRatios(spreadOf(ratios(r.rates(), hop.rates()))),
				r.median(func(b block) time.Duration { return percentile(b.times, 50) }),
				r.median(func(b block) time.Duration { return percentile(b.times, 99) }),
				fmt.Sprintf("%.2f ms", r.cost(idle).cpu()), settled)
		}
	})
	b.printf("\nround trips per request, counted at the servers, without those of an idle stack\n\n")
	b.table(func(row func(cells ...any)) {
		row("rung", "MongoDB", "Redis", "app to sidecar", "sidecar to sidecar", "sidecar to app")
		for _, r := range results {
			row(append([]any{r.name}, r.cost(idle).cells("%.2f", counters)...)...)
		}
		row(append([]any{"idle, per second"}, idle.cells("%.1f", counters)...)...)
	})
	b.printf("\nCPU per request and process in ms, without that of an idle stack\n\n")
	b.table(func(row func(cells ...any)) {
		row(header("rung", groups)...)
		for _, r := range results {
			row(append([]any{r.name}, r.cost(idle).cells("%.3f", cpuCounters())...)...)
		}
		row(append([]any{"idle, per second"}, idle.cells("%.1f", cpuCounters())...)...)
	})
	if hot, spread := find(hotRung), find(spreadRung); hot != nil && spread != nil {
		b.printf("\nbookings of one hot event: %s of the Dapr hop, %s of bookings of %d events\n",
			formatRatios(spreadOf(ratios(hot.rates(), hop.rates()))), formatRatios(spreadOf(ratios(hot.rates(), spread.rates()))), manyEvents)
	}
}

// reportGrowth prints the cost of a booking after few and after many bookings.
func (b *bench) reportGrowth(few, fewHops, many, manyHops *result, idle usage) {
	b.printf("\n%d clients, %d blocks of %d bookings, each preceded by a block of hops: median (lowest .. highest)\n\n",
		b.clients, b.rounds, growthBlock)
	inHops := func(bookings, hops *result) spread { return spreadOf(ratios(hops.rates(), bookings.rates())) }
	b.table(func(row func(cells ...any)) {
		row("bookings before", "bookings/s", "hops/s", "hops per booking", "CPU/booking", "CPU/hop")
		for _, l := range []struct {
			name           string
			bookings, hops *result
		}{{fmt.Sprint(growthBlock), few, fewHops}, {fmt.Sprint(b.after), many, manyHops}} {
			row(l.name, formatRates(spreadOf(l.bookings.rates())), formatRates(spreadOf(l.hops.rates())), formatRatios(inHops(l.bookings, l.hops)),
				fmt.Sprintf("%.2f ms", l.bookings.cost(idle).cpu()), fmt.Sprintf("%.2f ms", l.hops.cost(idle).cpu()))
		}
	})
	cpu := func(bookings, hops *result) float64 { return bookings.cost(idle).cpu() / hops.cost(idle).cpu() }
	b.printf("\nafter %d bookings, a booking costs %.2f times as many hops as after %d by rate, and %.2f times as many by processor time\n",
		b.after, inHops(many, manyHops).median/inHops(few, fewHops).median, growthBlock, cpu(many, manyHops)/cpu(few, fewHops))
}

// table prints the rows that fill adds, in aligned columns.
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
	_ = w.Flush() // errors are ignored, as in printf
}

// median returns the median of a duration over the rounds, formatted.
func (r *result) median(of func(block) time.Duration) string {
	var all []float64
	for _, b := range r.blocks {
		all = append(all, float64(of(b)))
	}
	d := time.Duration(spreadOf(all).median)
	return d.Round(max(10*time.Microsecond, d/100).Truncate(10 * time.Microsecond)).String()
}

// formatRates formats a spread of rates as whole numbers.
func formatRates(s spread) string { return fmt.Sprintf("%.0f (%.0f .. %.0f)", s.median, s.low, s.high) }

// formatRatios formats a spread of ratios.
func formatRatios(s spread) string {
	return fmt.Sprintf("%.3f (%.3f .. %.3f)", s.median, s.low, s.high)
}

// cells returns the formatted values of the named counters, with "-" for counters that
// were not read.
func (u usage) cells(format string, names []string) []any {
	var all []any
	for _, name := range names {
		cell := "-" // not available on this system
		if n, ok := u[name]; ok {
			cell = fmt.Sprintf(format, n)
		}
		all = append(all, cell)
	}
	return all
}

// cpu returns the processor time of all groups in milliseconds.
func (u usage) cpu() (ms float64) {
	for _, g := range groups {
		ms += u[cpu(g)]
	}
	return ms
}

// cpuCounters returns the names of the counters of processor time of all groups.
func cpuCounters() []string {
	var all []string
	for _, g := range groups {
		all = append(all, cpu(g))
	}
	return all
}

// header returns the cells of a header row: first, then rest.
func header(first string, rest []string) []any {
	all := []any{first}
	for _, n := range rest {
		all = append(all, n)
	}
	return all
}

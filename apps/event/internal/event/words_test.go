package event_test

import (
	"fmt"
	"slices"
	"strings"
	"testing"
	"unicode"
	"unicode/utf8"

	"golang.org/x/text/unicode/norm"

	"boxoffice/apps/event/internal/event"
)

// named returns an event that has only a name.
func named(name string) event.Event {
	return event.Event{Status: event.Published, Definition: event.Definition{Name: name}}
}

// textsOf returns the words of an event without their fields.
func textsOf(e event.Event) []string {
	var texts []string
	for _, w := range e.SearchWords() {
		texts = append(texts, w.Text)
	}
	return texts
}

func TestSearchWordsAreNormalized(t *testing.T) {
	for _, tt := range []struct {
		text string
		want []string
	}{
		{"Beyoncé", []string{"beyonce"}},
		{"Beyonce\u0301", []string{"beyonce"}}, // a combining acute accent
		{"STRASSE Straße STRAẞE", []string{"strasse"}},
		{"Øresund Łódź Đurđević Ísafjörður Þór Ægir Œuvre Ħamrun", []string{"aegir", "durdevic", "hamrun", "isafjordur", "lodz", "oeuvre", "oresund", "thor"}},
		{"DİYARBAKIR Diyarbakır diyarbakir", []string{"diyarbakir"}},
		{"ΟΔΥΣΣΕΎΣ Οδυσσεύς", []string{"οδυσσευσ"}},  // the final sigma folds to the other one
		{"ᏅᏆ ꮕꮖ", []string{"ꮕꮖ"}},                    // Cherokee, where the upper-case letters are the older ones
		{"ΜΙΚΡΌΣ μικρός µικρός", []string{"μικροσ"}}, // the last one begins with the micro sign
		{"東京ドーム", []string{"東京トーム"}},                 // NFKD separates the voicing mark, which is dropped
		{"ﾄﾞｰﾑ ドーム", []string{"トーム"}},                // half-width and full-width katakana
		{"부산 부산", []string{"부산"}},
		{"한국", []string{"한국"}},
		{"हिन्दी", []string{"हिनदी"}},
		{"ＡＢＣ １２３ ⅻ ½", []string{"1", "123", "2", "abc", "xii"}},
		{"ﬁnale", []string{"finale"}},
		{"co\u00adoperate x\u200dy", []string{"cooperate", "xy"}}, // soft hyphen, zero width joiner
		{"rock-n-roll, AC/DC; don't don’t Hawaiʻi", []string{"ac", "dc", "don", "hawai", "i", "n", "rock", "roll", "t"}},
		{"C++ .* (a+)+$ $regex [", []string{"a", "c", "regex"}},
		{"🎭 – … *", nil},
		{"", nil},
		{"\xff\xfe", nil},
	} {
		// Normalized Korean and Hindi words are decomposed.
		got := textsOf(named(tt.text))
		for i, want := range tt.want {
			tt.want[i] = norm.NFKD.String(want)
		}
		if !slices.Equal(got, tt.want) {
			t.Errorf("%q: got %q, want %q", tt.text, got, tt.want)
		}
	}
}

// Every letter is found by its other case, and by its own normalized form.
func TestSearchWordsIgnoreCase(t *testing.T) {
	for r := range rune(unicode.MaxRune) {
		if !unicode.IsLetter(r) || unicode.Is(unicode.Lo, r) && r > 0x3000 { // the others have no case
			continue
		}
		want := textsOf(named(string(r)))
		for _, other := range []string{string(unicode.ToUpper(r)), string(unicode.ToLower(r)), strings.ToUpper(string(r)), strings.Join(want, " ")} {
			if got := textsOf(named(other)); !slices.Equal(got, want) {
				t.Errorf("%c: got %q for %q, want %q", r, got, other, want)
			}
		}
	}
}

func TestSearchWordsKeepTheMostImportantField(t *testing.T) {
	e := event.Event{Status: event.Published, Definition: event.Definition{
		Name: "Opera, opera", Venue: "Opera House", Category: "music house", Description: "An opera with music. Über alles!",
	}}
	want := []event.Word{
		{Text: "alles", In: event.InText}, {Text: "an", In: event.InText}, {Text: "house", In: event.InVenue},
		{Text: "music", In: event.InText}, {Text: "opera", In: event.InName}, {Text: "uber", In: event.InText}, {Text: "with", In: event.InText},
	}
	if got := e.SearchWords(); !slices.Equal(got, want) {
		t.Errorf("got %v, want %v", got, want)
	}
	e.Status = event.Deleted
	if got := e.SearchWords(); got != nil {
		t.Errorf("deleted event: got %v, want no words", got)
	}
}

func TestSearchWordsAreBounded(t *testing.T) {
	if got, want := textsOf(named(strings.Repeat("ü", 200))), strings.Repeat("u", 64); len(got) != 1 || got[0] != want {
		t.Errorf("long word: got %q, want %q", got, want)
	}
	var description strings.Builder
	for i := range 1000 {
		fmt.Fprintf(&description, "w%04d ", i)
	}
	e := named("zzz name")
	e.Venue, e.Description = "zz venue", description.String()
	got := textsOf(e)
	if len(got) != 400 || got[0] != "name" || got[3] != "w0001" || got[399] != "zzz" || slices.Contains(got, "w0396") {
		t.Errorf("long description: got %d words %q ... %q, want 400: all of the name and the venue, and the first of the description", len(got), got[0], got[len(got)-1])
	}
}

func FuzzSearchWords(f *testing.F) {
	for _, seed := range []string{
		"Beyoncé", "STRAẞE", "Łódź", "İı", "ΟΔΥΣΣΕΎΣ", "東京ドーム", "ꮕꮖ", "부산", "ŉ ǰ ΐ ᾳ", "\ufdfa", "a\u0345\u0301", "\xff", "x\u00ady", "🎭", "$regex .*",
	} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, s string) {
		words := textsOf(named(s))
		if !slices.IsSorted(words) || len(slices.Compact(slices.Clone(words))) != len(words) || len(words) > 400 {
			t.Fatalf("%q: got %q, want at most 400 different words in order", s, words)
		}
		for _, word := range words {
			if word == "" || !utf8.ValidString(word) || utf8.RuneCountInString(word) > 64 || strings.ContainsAny(word, " ~\U0010FFFF") {
				t.Fatalf("%q: got the word %q, want 1 to 64 code points without separators", s, word)
			}
			if again := textsOf(named(word)); !slices.Equal(again, []string{word}) {
				t.Fatalf("%q: words of its word %q: got %q, want the word itself", s, word, again)
			}
		}
	})
}

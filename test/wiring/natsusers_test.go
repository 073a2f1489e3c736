package wiring_test

import (
	"maps"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"boxoffice/shared/contract/eventapi"
)

var (
	natsUser    = regexp.MustCompile(`user: (\w+), password: \$NATS_PASSWORD_(\w+)`)
	natsSubject = regexp.MustCompile(`"([^"]+)"`)
	natsComment = regexp.MustCompile(`(?m)#.*$`)
)

// natsUsers reads the configuration of NATS, and returns the subjects on which each user may
// publish and those to which it may subscribe.
func natsUsers(t *testing.T) (publish, subscribe map[string][]string) {
	t.Helper()
	data, err := os.ReadFile("../../dapr/nats-server.conf")
	if err != nil {
		t.Fatal(err)
	}
	text := natsComment.ReplaceAllString(string(data), "")
	publish, subscribe = map[string][]string{}, map[string][]string{}
	starts := natsUser.FindAllStringSubmatchIndex(text, -1)
	for i, at := range starts {
		end := len(text)
		if i+1 < len(starts) {
			end = starts[i+1][0]
		}
		user, block := text[at[2]:at[3]], text[at[1]:end]
		if variable := text[at[4]:at[5]]; variable != strings.ToUpper(user) {
			t.Errorf("user %s has the password of %s", user, variable)
		}
		before, after, _ := strings.Cut(block, "subscribe:")
		for _, m := range natsSubject.FindAllStringSubmatch(before, -1) {
			publish[user] = append(publish[user], m[1])
		}
		for _, m := range natsSubject.FindAllStringSubmatch(after, -1) {
			subscribe[user] = append(subscribe[user], m[1])
		}
		if publish[user] == nil && user != "streams" {
			t.Errorf("user %s may publish anything", user)
		}
	}
	return publish, subscribe
}

type topicSubscription struct {
	Scopes []string
	Spec   struct {
		PubsubName      string `yaml:"pubsubname"`
		Topic           string
		DeadLetterTopic string `yaml:"deadLetterTopic"`
	}
}

// A user of NATS may publish what the pub/sub component allows its app to publish, and may use
// the consumers of its app's subscriptions. It may do nothing else.
func TestUsersOfNATSMayDoWhatTheirAppsDo(t *testing.T) {
	want := map[string]map[string]bool{"shared": {}}
	allow := func(app string, subjects ...string) {
		for _, user := range []string{app, "shared"} {
			if want[user] == nil {
				want[user] = map[string]bool{}
			}
			for _, s := range subjects {
				want[user][s] = true
			}
		}
	}
	for _, a := range apps(t) {
		allow(a.ID)
	}
	scopes := metadata(t, components(t)["../../components/pubsub-jetstream/pubsub.yaml"], "publishingScopes")
	for entry := range strings.SplitSeq(scopes, ";") {
		app, topics, _ := strings.Cut(entry, "=")
		allow(app, strings.Split(topics, ",")...)
	}
	files, err := filepath.Glob("../../dapr/subscriptions/*.yaml")
	if err != nil || len(files) < 3 {
		t.Fatalf("got %d subscriptions, %v, want at least 3", len(files), err)
	}
	for _, file := range files {
		s := read[topicSubscription](t, file)
		topic := s.Spec.Topic
		for _, app := range s.Scopes {
			allow(app, "$JS.API.STREAM.NAMES")
			if s.Spec.PubsubName != "pubsub" { // without a durable consumer and acknowledgements
				allow(app, "$JS.API.STREAM.INFO."+topic, "$JS.API.CONSUMER.CREATE."+topic, "$JS.API.CONSUMER.INFO."+topic+".*")
				continue
			}
			allow(app, "$JS.API.CONSUMER.CREATE."+topic+"."+app+"."+topic, "$JS.API.CONSUMER.INFO."+topic+"."+app, "$JS.ACK."+topic+"."+app+".>")
			if !want[app][s.Spec.DeadLetterTopic] {
				t.Errorf("%s may not publish on %s, its dead-letter topic", app, s.Spec.DeadLetterTopic)
			}
		}
	}
	// The permission of the gateway's consumers includes that of the booking app's.
	delete(want["shared"], "$JS.API.CONSUMER.INFO."+eventapi.Topic+".booking")

	publish, subscribe := natsUsers(t)
	for user, subjects := range want {
		got := publish[user]
		slices.Sort(got)
		if wanted := slices.Sorted(maps.Keys(subjects)); !slices.Equal(got, wanted) {
			t.Errorf("user %s may publish on\n%q, want\n%q", user, got, wanted)
		}
		if got := subscribe[user]; !slices.Equal(got, []string{"_INBOX.>"}) {
			t.Errorf("user %s may subscribe to %q, want inboxes only", user, got)
		}
	}
	for user := range publish {
		if want[user] == nil {
			t.Errorf("NATS has the user %s, which is no app", user)
		}
	}
}

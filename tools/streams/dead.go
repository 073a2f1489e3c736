package main

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"strconv"
	"time"

	"github.com/nats-io/nats.go/jetstream"
)

// listDeadLetters writes one line for each stream of dead letters, with its name and the
// number of dead letters. If prints is true, the line is followed by one for each dead
// letter, the oldest first.
func listDeadLetters(ctx context.Context, broker jetstream.JetStream, topics []string, prints bool, w io.Writer) error {
	for _, topic := range topics {
		name := topic + deadSuffix
		stream, err := broker.Stream(ctx, name)
		if err != nil {
			return fmt.Errorf("stream %s: %w", name, err)
		}
		state := stream.CachedInfo().State
		if _, err := fmt.Fprintln(w, name, state.Msgs); err != nil {
			return err
		}
		if !prints {
			continue
		}
		if err := printMessages(ctx, stream, state.LastSeq, w); err != nil {
			return fmt.Errorf("stream %s: %w", name, err)
		}
	}
	return nil
}

// printMessages writes a line for each message of a stream up to the one with the sequence
// number last: the name of the stream, the sequence number, the time and the data.
func printMessages(ctx context.Context, stream jetstream.Stream, last uint64, w io.Writer) error {
	name := stream.CachedInfo().Config.Name
	for next := uint64(1); next <= last; {
		// With a subject, the server returns the first message from next on.
		msg, err := stream.GetMsg(ctx, next, jetstream.WithGetMsgSubject(name))
		switch {
		case errors.Is(err, jetstream.ErrMsgNotFound):
			return nil
		case err != nil:
			return err
		}
		if _, err := fmt.Fprintln(w, name, msg.Sequence, msg.Time.UTC().Format(time.RFC3339), oneLine(msg.Data)); err != nil {
			return err
		}
		next = msg.Sequence + 1
	}
	return nil
}

// oneLine returns data without line breaks: as compact JSON, or as a quoted string if it is
// not JSON.
func oneLine(data []byte) string {
	var compact bytes.Buffer
	if err := json.Compact(&compact, data); err != nil {
		return strconv.Quote(string(data))
	}
	return compact.String()
}

// Package check is what the Go client suites share: named checks with a time limit, sample records, and
// group members in processes of their own.
//
// A suite prints one line per check and closes with "N passed, N failed"; its exit status is 0 only when
// nothing failed.
package check

import (
	"fmt"
	"os"
	"reflect"
	"runtime/debug"
	"strings"
	"time"

	"crypto/rand"
	"encoding/hex"
)

const (
	checkTimeMax = 60 * time.Second

	SessionTimeout    = 6 * time.Second
	HeartbeatInterval = 500 * time.Millisecond
)

// Suite is a list of checks that run in order.
type Suite struct {
	name   string
	checks []named
}

type named struct {
	name string
	run  func()
}

// NewSuite makes an empty suite.
func NewSuite(name string) *Suite {
	return &Suite{name: name}
}

// Check adds a check, which fails by a panic (see Must and Equal).
func (s *Suite) Check(name string, run func()) {
	s.checks = append(s.checks, named{name, run})
}

// Run runs the checks whose name contains only, and exits.
func (s *Suite) Run(only string) {
	passed, failed := 0, 0
	for _, c := range s.checks {
		if !strings.Contains(c.name, only) {
			continue
		}
		started := time.Now()
		if failure := runOne(c.run); failure != "" {
			failed++
			fmt.Printf("FAIL %s: %s: %s\n", s.name, c.name, failure)
		} else {
			passed++
			fmt.Printf("ok   %s: %s (%.1f s)\n", s.name, c.name, time.Since(started).Seconds())
		}
	}
	fmt.Printf("%d passed, %d failed\n", passed, failed)
	if failed > 0 || passed == 0 {
		os.Exit(1)
	}
	os.Exit(0)
}

func runOne(run func()) string {
	done := make(chan string, 1)
	go func() {
		defer func() {
			if problem := recover(); problem != nil {
				done <- fmt.Sprintf("%v%s", problem, where())
			} else {
				done <- ""
			}
		}()
		run()
	}()
	select {
	case failure := <-done:
		return failure
	case <-time.After(checkTimeMax):
		return fmt.Sprintf("still running after %s", checkTimeMax)
	}
}

// where names the lines of the suite that led to a panic.
func where() string {
	var lines []string
	for _, line := range strings.Split(string(debug.Stack()), "\n") {
		if strings.Contains(line, "/main.go:") || strings.Contains(line, "/clients/go/") && strings.HasPrefix(line, "\t") && !strings.Contains(line, "/check/") {
			lines = append(lines, strings.TrimSpace(line))
		}
	}
	return "\n     " + strings.Join(lines, "\n     ")
}

// Main runs a suite against the bootstrap address among the arguments, or a group member.
func Main(suite func(bootstrap string) *Suite, member func(arguments []string)) {
	arguments := os.Args[1:]
	switch {
	case len(arguments) > 0 && arguments[0] == "member" && member != nil:
		member(arguments[1:])
	case len(arguments) == 1:
		suite(arguments[0]).Run("")
	case len(arguments) == 2:
		suite(arguments[0]).Run(arguments[1])
	default:
		fmt.Fprintf(os.Stderr, "usage: %s BOOTSTRAP [PART OF A CHECK'S NAME]\n", os.Args[0])
		os.Exit(2)
	}
}

// Must fails the check on an error.
func Must(err error) {
	if err != nil {
		panic(err)
	}
}

// Get returns a value, and fails the check on an error.
func Get[T any](value T, err error) T {
	Must(err)
	return value
}

// Equal fails the check unless both are deeply equal.
func Equal[T any](actual, expected T, what string) {
	if !reflect.DeepEqual(actual, expected) {
		panic(fmt.Sprintf("%s: got %+v, expected %+v", what, actual, expected))
	}
}

// Fails fails the check unless err is an error that is expected or mentions it.
func Fails(err error, expected error) {
	if err == nil {
		panic(fmt.Sprintf("nothing failed, expected %v", expected))
	}
	if !strings.Contains(err.Error(), expected.Error()) {
		panic(fmt.Sprintf("failed with %v, expected %v", err, expected))
	}
}

// Eventually polls until the condition holds.
func Eventually(what string, limit time.Duration, condition func() bool) {
	deadline := time.Now().Add(limit)
	for !condition() {
		if time.Now().After(deadline) {
			panic(fmt.Sprintf("not within %s: %s", limit, what))
		}
		time.Sleep(50 * time.Millisecond)
	}
}

// Unique makes a name that nobody has used.
func Unique(prefix string) string {
	random := make([]byte, 4)
	rand.Read(random)
	return prefix + "-" + hex.EncodeToString(random)
}

// BaseTime is an hour ago: young enough for retention, clearly not the time of the append.
func BaseTime() time.Time {
	return time.Now().Truncate(time.Second).Add(-time.Hour)
}

// Header is a record header.
type Header struct {
	Key   string
	Value string
}

// Record is what a client must hand back as it was given; a nil key or value is none.
type Record struct {
	Key     []byte
	Value   []byte
	Headers []Header
	Time    time.Time
}

// Records makes records of every shape: no key, no value, empty, unicode.
func Records(count int, base time.Time, tag string) []Record {
	records := make([]Record, count)
	for i := range records {
		record := Record{Time: base.Add(time.Duration(i) * 10 * time.Millisecond)}
		if i%5 != 4 {
			record.Key = fmt.Appendf(nil, "key-%s%d", tag, i)
		}
		switch {
		case i%7 == 3 && i%5 != 4:
		case i%7 == 5:
			record.Value = []byte{}
		default:
			record.Value = []byte(strings.Repeat(fmt.Sprintf("value-%s%d-é-", tag, i), 1+i%4*20))
		}
		if i%3 == 0 {
			record.Headers = []Header{{"index", fmt.Sprint(i)}, {"twice", "1"}, {"twice", "2"}, {"empty", ""}}
		}
		records[i] = record
	}
	return records
}

// EqualRecords compares what was read with what was written.
func EqualRecords(actual, expected []Record) {
	Equal(len(actual), len(expected), "number of records")
	for i := range actual {
		Equal(describe(actual[i]), describe(expected[i]), fmt.Sprintf("record %d", i))
	}
}

// describe tells a nil key or value from an empty one, and nothing else that does not matter.
func describe(r Record) string {
	text := func(b []byte) string {
		if b == nil {
			return "none"
		}
		return fmt.Sprintf("%q", b)
	}
	return fmt.Sprintf("%s %s %q %d", text(r.Key), text(r.Value), r.Headers, r.Time.UnixMilli())
}

// Package franz is what the franz-go suites share: clients with short waits, and helpers around them.
package franz

import (
	"context"
	"fmt"
	"time"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kgo"

	"ottla/clients/check"
)

const (
	callTimeMax = 20 * time.Second
	readTimeMax = 20 * time.Second
)

// Context is a broker under test.
type Context struct {
	Bootstrap string
	Admin     *kadm.Client
	Base      time.Time
}

// Connect makes a context.
func Connect(bootstrap string) *Context {
	c := &Context{Bootstrap: bootstrap, Base: check.BaseTime()}
	c.Admin = kadm.NewClient(c.Client())
	return c
}

// Client makes a client that writes to the partition that a record names.
func (c *Context) Client(options ...kgo.Opt) *kgo.Client {
	defaults := []kgo.Opt{
		kgo.SeedBrokers(c.Bootstrap),
		kgo.RecordPartitioner(kgo.ManualPartitioner()),
		kgo.FetchMaxWait(500 * time.Millisecond),
		kgo.MetadataMinAge(100 * time.Millisecond),
	}
	return check.Get(kgo.NewClient(append(defaults, options...)...))
}

// Call is a context for one call.
func Call() context.Context {
	ctx, cancel := context.WithCancel(context.Background())
	time.AfterFunc(callTimeMax, cancel)
	return ctx
}

// Topic creates a topic.
func (c *Context) Topic(partitions int32, configs map[string]string) string {
	name := check.Unique("franz-go")
	check.Must(c.Create(name, partitions, 1, configs))
	return name
}

// Create creates a topic of this name, or returns the broker's error.
func (c *Context) Create(name string, partitions int32, replicas int16, configs map[string]string) error {
	values := map[string]*string{}
	for key, value := range configs {
		values[key] = &value
	}
	_, err := c.Admin.CreateTopic(Call(), partitions, replicas, values, name)
	return err
}

// Produce appends the records in order with a client of its own and returns their offsets.
func (c *Context) Produce(topic string, partition int32, records []check.Record, options ...kgo.Opt) []int64 {
	client := c.Client(options...)
	defer client.Close()
	return check.Get(Send(client, topic, partition, records))
}

// Fill appends sample records.
func (c *Context) Fill(topic string, partition int32, count int) []int64 {
	return c.Produce(topic, partition, check.Records(count, c.Base, ""))
}

// Send appends the records in order and returns their offsets.
func Send(client *kgo.Client, topic string, partition int32, records []check.Record) ([]int64, error) {
	var batch []*kgo.Record
	for _, record := range records {
		r := &kgo.Record{Topic: topic, Partition: partition, Key: record.Key, Value: record.Value, Timestamp: record.Time}
		for _, header := range record.Headers {
			r.Headers = append(r.Headers, kgo.RecordHeader{Key: header.Key, Value: []byte(header.Value)})
		}
		batch = append(batch, r)
	}
	var offsets []int64
	for _, result := range client.ProduceSync(Call(), batch...) {
		if result.Err != nil {
			return nil, result.Err
		}
		offsets = append(offsets, result.Record.Offset)
	}
	return offsets, nil
}

// Read reads count records from the offset on.
func (c *Context) Read(topic string, partition int32, offset int64, count int, options ...kgo.Opt) []*kgo.Record {
	client := c.Reader(topic, partition, offset, options...)
	defer client.Close()
	return Take(client, count)
}

// Reader makes a client that reads one partition.
func (c *Context) Reader(topic string, partition int32, offset int64, options ...kgo.Opt) *kgo.Client {
	start := map[string]map[int32]kgo.Offset{topic: {partition: kgo.NewOffset().At(offset)}}
	return c.Client(append([]kgo.Opt{kgo.ConsumePartitions(start)}, options...)...)
}

// Take polls until count records have come.
func Take(client *kgo.Client, count int) []*kgo.Record {
	ctx, cancel := context.WithTimeout(context.Background(), readTimeMax)
	defer cancel()
	var records []*kgo.Record
	for len(records) < count {
		fetches := client.PollRecords(ctx, count-len(records))
		if err := fetches.Err(); err != nil {
			panic(fmt.Sprintf("%v after %d of %d records", err, len(records), count))
		}
		records = append(records, fetches.Records()...)
	}
	return records
}

// Silent fails the check if a record comes within a second.
func Silent(client *kgo.Client, what string) {
	ctx, cancel := context.WithTimeout(context.Background(), time.Second)
	defer cancel()
	check.Equal(len(client.PollFetches(ctx).Records()), 0, what)
}

// Content is what a client must hand back as it was given.
func Content(records []*kgo.Record) []check.Record {
	var content []check.Record
	for _, r := range records {
		record := check.Record{Key: r.Key, Value: r.Value, Time: r.Timestamp}
		for _, header := range r.Headers {
			record.Headers = append(record.Headers, check.Header{Key: header.Key, Value: string(header.Value)})
		}
		content = append(content, record)
	}
	return content
}

// Offsets are the records' offsets.
func Offsets(records []*kgo.Record) []int64 {
	var offsets []int64
	for _, r := range records {
		offsets = append(offsets, r.Offset)
	}
	return offsets
}

// Range is start, start+1, … end-1.
func Range(start, end int64) []int64 {
	var numbers []int64
	for i := start; i < end; i++ {
		numbers = append(numbers, i)
	}
	return numbers
}

// GroupOptions are those of a group with short sessions.
func GroupOptions(group string, topics ...string) []kgo.Opt {
	return []kgo.Opt{
		kgo.ConsumerGroup(group),
		kgo.ConsumeTopics(topics...),
		kgo.ConsumeResetOffset(kgo.NewOffset().AtStart()),
		kgo.SessionTimeout(check.SessionTimeout),
		kgo.HeartbeatInterval(check.HeartbeatInterval),
		kgo.DisableAutoCommit(),
	}
}

// Member is the body of a group member's process: bootstrap, topic, group, strategy, name.
func Member(arguments []string) {
	bootstrap, topic, group, strategy, name := arguments[0], arguments[1], arguments[2], arguments[3], arguments[4]
	leave := check.LeaveRequest()
	var assignment check.Assignment
	lost := func(_ context.Context, _ *kgo.Client, lost map[string][]int32) { assignment.Remove(lost[topic]) }
	options := append(GroupOptions(group, topic),
		kgo.ClientID(name),
		kgo.OnPartitionsAssigned(func(_ context.Context, _ *kgo.Client, added map[string][]int32) {
			assignment.Add(added[topic])
		}),
		kgo.OnPartitionsRevoked(lost),
		kgo.OnPartitionsLost(lost),
	)
	switch strategy {
	case "range":
		options = append(options, kgo.Balancers(kgo.RangeBalancer()))
	case "cooperative-sticky":
		options = append(options, kgo.Balancers(kgo.CooperativeStickyBalancer()))
	case "static":
		options = append(options, kgo.Balancers(kgo.RangeBalancer()), kgo.InstanceID(name), kgo.SessionTimeout(20*time.Second))
	case "consumer":
		options = append(options, kgo.Balancers(kgo.RangeBalancer()), kgo.ServerSideBalancer())
	}
	client := Connect(bootstrap).Client(options...)
	ctx, cancel := context.WithCancel(context.Background())
	go func() {
		<-leave
		cancel()
	}()
	for ctx.Err() == nil {
		records := client.PollFetches(ctx).Records()
		for _, record := range records {
			fmt.Println("got", record.Partition, record.Offset)
		}
		if len(records) > 0 {
			// A commit that a rebalance refuses is repeated by the next owner's.
			_ = client.CommitUncommittedOffsets(Call())
		}
	}
	client.Close()
}

// GroupOfThree runs check.GroupOfThree on a topic of six partitions.
func (c *Context) GroupOfThree(strategy string) {
	topic := c.Topic(6, nil)
	check.GroupOfThree(6, []string{c.Bootstrap, topic, check.Unique("group"), strategy}, func() []check.Place {
		var places []check.Place
		for partition := range int32(6) {
			for _, offset := range c.Fill(topic, partition, 5) {
				places = append(places, check.Place{Partition: partition, Offset: offset})
			}
		}
		return places
	})
}

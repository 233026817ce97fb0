// Package saramas is what the sarama suites share: clients with short waits, and helpers around them.
package saramas

import (
	"context"
	"fmt"
	"time"

	"github.com/IBM/sarama"

	"ottla/clients/check"
)

const readTimeMax = 20 * time.Second

// Context is a broker under test.
type Context struct {
	Bootstrap string
	Admin     sarama.ClusterAdmin
	Base      time.Time
}

// Connect makes a context.
func Connect(bootstrap string) *Context {
	admin := check.Get(sarama.NewClusterAdmin([]string{bootstrap}, Config()))
	return &Context{Bootstrap: bootstrap, Admin: admin, Base: check.BaseTime()}
}

// Config is sarama's configuration for the newest protocol that it knows.
func Config() *sarama.Config {
	config := sarama.NewConfig()
	config.Version = sarama.MaxVersion
	config.Producer.Return.Successes = true
	config.Producer.Partitioner = sarama.NewManualPartitioner
	config.Producer.RequiredAcks = sarama.WaitForAll
	config.Consumer.Offsets.Initial = sarama.OffsetOldest
	config.Consumer.Offsets.AutoCommit.Enable = false
	config.Consumer.Return.Errors = true
	config.Consumer.Group.Session.Timeout = check.SessionTimeout
	config.Consumer.Group.Heartbeat.Interval = check.HeartbeatInterval
	config.Metadata.Retry.Backoff = 100 * time.Millisecond
	return config
}

// Topic creates a topic.
func (c *Context) Topic(partitions int32, configs map[string]string) string {
	name := check.Unique("sarama")
	check.Must(c.Create(name, partitions, 1, configs))
	return name
}

// Create creates a topic of this name, or returns the broker's error.
func (c *Context) Create(name string, partitions int32, replicas int16, configs map[string]string) error {
	entries := map[string]*string{}
	for key, value := range configs {
		entries[key] = &value
	}
	detail := &sarama.TopicDetail{NumPartitions: partitions, ReplicationFactor: replicas, ConfigEntries: entries}
	return c.Admin.CreateTopic(name, detail, false)
}

// Messages are records as sarama takes them.
func Messages(topic string, partition int32, records []check.Record) []*sarama.ProducerMessage {
	var messages []*sarama.ProducerMessage
	for _, record := range records {
		message := &sarama.ProducerMessage{Topic: topic, Partition: partition, Timestamp: record.Time}
		if record.Key != nil {
			message.Key = sarama.ByteEncoder(record.Key)
		}
		if record.Value != nil {
			message.Value = sarama.ByteEncoder(record.Value)
		}
		for _, header := range record.Headers {
			message.Headers = append(message.Headers, sarama.RecordHeader{Key: []byte(header.Key), Value: []byte(header.Value)})
		}
		messages = append(messages, message)
	}
	return messages
}

// Send appends the records in order and returns their offsets.
func Send(producer sarama.SyncProducer, topic string, partition int32, records []check.Record) ([]int64, error) {
	messages := Messages(topic, partition, records)
	if err := producer.SendMessages(messages); err != nil {
		return nil, err
	}
	var offsets []int64
	for _, message := range messages {
		offsets = append(offsets, message.Offset)
	}
	return offsets, nil
}

// Produce appends the records with a producer of its own.
func (c *Context) Produce(topic string, partition int32, records []check.Record, config *sarama.Config) ([]int64, error) {
	producer := check.Get(sarama.NewSyncProducer([]string{c.Bootstrap}, config))
	defer producer.Close()
	return Send(producer, topic, partition, records)
}

// Fill appends sample records.
func (c *Context) Fill(topic string, partition int32, count int) []int64 {
	return check.Get(c.Produce(topic, partition, check.Records(count, c.Base, ""), Config()))
}

// Read reads count records from the offset on.
func (c *Context) Read(topic string, partition int32, offset int64, count int, config *sarama.Config) []*sarama.ConsumerMessage {
	consumer := check.Get(sarama.NewConsumer([]string{c.Bootstrap}, config))
	defer consumer.Close()
	claim := check.Get(consumer.ConsumePartition(topic, partition, offset))
	defer claim.Close()
	return Take(claim.Messages(), count)
}

// Take waits for count messages.
func Take(messages <-chan *sarama.ConsumerMessage, count int) []*sarama.ConsumerMessage {
	limit := time.After(readTimeMax)
	var taken []*sarama.ConsumerMessage
	for len(taken) < count {
		select {
		case message := <-messages:
			taken = append(taken, message)
		case <-limit:
			panic(fmt.Sprintf("%d of %d records after %s", len(taken), count, readTimeMax))
		}
	}
	return taken
}

// Content is what a client must hand back as it was given.
func Content(messages []*sarama.ConsumerMessage) []check.Record {
	var content []check.Record
	for _, message := range messages {
		record := check.Record{Key: message.Key, Value: message.Value, Time: message.Timestamp}
		for _, header := range message.Headers {
			record.Headers = append(record.Headers, check.Header{Key: string(header.Key), Value: string(header.Value)})
		}
		content = append(content, record)
	}
	return content
}

// Offsets are the messages' offsets.
func Offsets(messages []*sarama.ConsumerMessage) []int64 {
	var offsets []int64
	for _, message := range messages {
		offsets = append(offsets, message.Offset)
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

// ReadInGroup reads count records as the only member of a group, commits them, and leaves.
func (c *Context) ReadInGroup(group, topic string, count int, during func()) []int64 {
	members := check.Get(sarama.NewConsumerGroup([]string{c.Bootstrap}, group, Config()))
	defer members.Close()
	ctx, cancel := context.WithTimeout(context.Background(), readTimeMax)
	defer cancel()
	reader := &reader{count: count, done: cancel, during: during}
	check.Must(members.Consume(ctx, []string{topic}, reader))
	check.Equal(len(reader.offsets), count, "records read in the group")
	return reader.offsets
}

type reader struct {
	count   int
	offsets []int64
	done    func()
	during  func()
}

func (r *reader) Setup(sarama.ConsumerGroupSession) error   { return nil }
func (r *reader) Cleanup(sarama.ConsumerGroupSession) error { return nil }

func (r *reader) ConsumeClaim(session sarama.ConsumerGroupSession, claim sarama.ConsumerGroupClaim) error {
	for {
		select {
		case message := <-claim.Messages():
			if message == nil || len(r.offsets) == r.count {
				return nil
			}
			r.offsets = append(r.offsets, message.Offset)
			session.MarkMessage(message, "marked")
			if len(r.offsets) == r.count {
				session.Commit()
				if r.during != nil {
					r.during()
				}
				r.done()
				return nil
			}
		case <-session.Context().Done():
			return nil
		}
	}
}

// Member is the body of a group member's process: bootstrap, topic, group, strategy, name.
func Member(arguments []string) {
	bootstrap, topic, group, strategy, name := arguments[0], arguments[1], arguments[2], arguments[3], arguments[4]
	leave := check.LeaveRequest()
	config := Config()
	config.ClientID = name
	config.Consumer.Group.Rebalance.GroupStrategies = []sarama.BalanceStrategy{sarama.NewBalanceStrategyRange()}
	switch strategy {
	case "sticky":
		config.Consumer.Group.Rebalance.GroupStrategies = []sarama.BalanceStrategy{sarama.NewBalanceStrategySticky()}
	case "static":
		config.Consumer.Group.InstanceId = name
		config.Consumer.Group.Session.Timeout = 20 * time.Second
	}
	members := check.Get(sarama.NewConsumerGroup([]string{bootstrap}, group, config))
	ctx, cancel := context.WithCancel(context.Background())
	go func() {
		<-leave
		cancel()
	}()
	for ctx.Err() == nil {
		// Consume returns at each rebalance; its errors are those of a coordinator that is asked again.
		_ = members.Consume(ctx, []string{topic}, &member{topic: topic})
	}
	members.Close()
}

type member struct {
	topic      string
	assignment check.Assignment
}

func (m *member) Setup(session sarama.ConsumerGroupSession) error {
	m.assignment.Set(session.Claims()[m.topic])
	return nil
}

func (m *member) Cleanup(sarama.ConsumerGroupSession) error {
	m.assignment.Set(nil)
	return nil
}

func (m *member) ConsumeClaim(session sarama.ConsumerGroupSession, claim sarama.ConsumerGroupClaim) error {
	for {
		select {
		case message, open := <-claim.Messages():
			if !open {
				return nil
			}
			fmt.Println("got", message.Partition, message.Offset)
			session.MarkMessage(message, "")
			session.Commit()
		case <-session.Context().Done():
			return nil
		}
	}
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

// Transactions with sarama.
package main

import (
	"context"
	"fmt"
	"time"

	"github.com/IBM/sarama"

	"ottla/clients/check"
	"ottla/clients/saramas"
)

func main() {
	check.Main(suite, nil)
}

func suite(bootstrap string) *check.Suite {
	s := check.NewSuite("sarama transactions")
	c := saramas.Connect(bootstrap)
	s.Check("committed transactions are read, aborted ones never", func() { commitAndAbort(c) })
	s.Check("offsets are committed with the transaction", func() { offsets(c) })
	s.Check("an open transaction holds back what comes after it", func() { lastStable(c) })
	s.Check("consume, transform, produce: exactly once over aborts and restarts", func() { transform(c) })
	s.Check("a transaction that outlives its timeout is aborted", func() { timeout(c) })
	s.Check("a zombie is fenced by the next producer of its transactional id", func() { fencing(c) })
	return s
}

func transactional(c *saramas.Context, name string) sarama.SyncProducer {
	return withTimeout(c, name, 30*time.Second)
}

func withTimeout(c *saramas.Context, name string, timeout time.Duration) sarama.SyncProducer {
	config := saramas.Config()
	config.Producer.Idempotent = true
	config.Producer.Transaction.ID = name
	config.Producer.Transaction.Timeout = timeout
	config.Net.MaxOpenRequests = 1
	return check.Get(sarama.NewSyncProducer([]string{c.Bootstrap}, config))
}

func committed() *sarama.Config {
	config := saramas.Config()
	config.Consumer.IsolationLevel = sarama.ReadCommitted
	return config
}

func commitAndAbort(c *saramas.Context) {
	topic := c.Topic(1, nil)
	producer := transactional(c, check.Unique("txn"))
	defer producer.Close()
	var expected []check.Record
	for i := range 5 {
		records := check.Records(5, c.Base, fmt.Sprintf("%d-", i))
		check.Must(producer.BeginTxn())
		check.Get(saramas.Send(producer, topic, 0, records))
		if i%2 == 0 {
			check.Must(producer.CommitTxn())
			expected = append(expected, records...)
		} else {
			check.Must(producer.AbortTxn())
		}
	}
	check.EqualRecords(saramas.Content(c.Read(topic, 0, 0, 15, committed())), expected)
	check.Equal(len(c.Read(topic, 0, 0, 25, saramas.Config())), 25, "read uncommitted")
}

func offsets(c *saramas.Context) {
	source, target, group := c.Topic(1, nil), c.Topic(1, nil), check.Unique("group")
	c.Fill(source, 0, 10)
	producer := transactional(c, check.Unique("txn"))
	defer producer.Close()
	move := func(offset int64, end func() error) {
		check.Must(producer.BeginTxn())
		check.Get(saramas.Send(producer, target, 0, check.Records(int(offset), c.Base, "")))
		partitions := map[string][]*sarama.PartitionOffsetMetadata{source: {{Partition: 0, Offset: offset, LeaderEpoch: -1}}}
		check.Must(producer.AddOffsetsToTxn(partitions, group))
		check.Must(end())
	}
	at := func() int64 {
		found := check.Get(c.Admin.ListConsumerGroupOffsets(group, map[string][]int32{source: {0}}))
		return found.GetBlock(source, 0).Offset
	}
	move(7, producer.AbortTxn)
	check.Equal(at(), -1, "offset after an abort")
	move(4, producer.CommitTxn)
	check.Eventually("the committed offset", 10*time.Second, func() bool { return at() == 4 })
	check.Equal(len(c.Read(target, 0, 0, 4, committed())), 4, "records")
}

func fencing(c *saramas.Context) {
	topic, name := c.Topic(1, nil), check.Unique("txn")
	zombie := transactional(c, name)
	defer zombie.Close()
	check.Must(zombie.BeginTxn())
	check.Get(saramas.Send(zombie, topic, 0, check.Records(3, c.Base, "zombie")))
	next := transactional(c, name)
	defer next.Close()
	records := check.Records(3, c.Base, "next")
	check.Must(next.BeginTxn())
	check.Get(saramas.Send(next, topic, 0, records))
	if zombie.CommitTxn() == nil {
		panic("the zombie could commit")
	}
	check.Must(next.CommitTxn())
	check.EqualRecords(saramas.Content(c.Read(topic, 0, 0, 3, committed())), records)
}

func lastStable(c *saramas.Context) {
	topic := c.Topic(1, nil)
	producer := transactional(c, check.Unique("txn"))
	defer producer.Close()
	c.Fill(topic, 0, 3)
	check.Must(producer.BeginTxn())
	check.Get(saramas.Send(producer, topic, 0, check.Records(2, c.Base, "")))
	c.Fill(topic, 0, 4)
	check.Equal(saramas.Offsets(c.Read(topic, 0, 0, 3, committed())), []int64{0, 1, 2}, "before the transaction")
	check.Must(producer.AbortTxn())
	after := saramas.Offsets(c.Read(topic, 0, 0, 7, committed()))
	check.Equal(after, []int64{0, 1, 2, 5, 6, 7, 8}, "after the abort")
}

func timeout(c *saramas.Context) {
	topic := c.Topic(1, nil)
	producer := withTimeout(c, check.Unique("txn"), 2*time.Second)
	defer producer.Close()
	check.Must(producer.BeginTxn())
	check.Get(saramas.Send(producer, topic, 0, check.Records(3, c.Base, "")))
	c.Fill(topic, 0, 2)
	check.Equal(saramas.Offsets(c.Read(topic, 0, 0, 2, committed())), []int64{3, 4}, "records after the abort")
	if producer.CommitTxn() == nil {
		panic("a transaction that was aborted could be committed")
	}
}

func transform(c *saramas.Context) {
	source, target, group, name := c.Topic(1, nil), c.Topic(1, nil), check.Unique("group"), check.Unique("txn")
	c.Fill(source, 0, 30)
	for _, commits := range []bool{true, false, true, false, true} {
		transformOnce(c, source, target, group, name, commits)
	}
	read := c.Read(target, 0, 0, 30, committed())
	for i, record := range check.Records(30, c.Base, "") {
		check.Equal(string(read[i].Value), "seen "+string(record.Value), fmt.Sprintf("record %d", i))
	}
	found := check.Get(c.Admin.ListConsumerGroupOffsets(group, map[string][]int32{source: {0}}))
	check.Equal(found.GetBlock(source, 0).Offset, 30, "committed offset")
}

// transformOnce moves ten records in one transaction, with a producer and a group member of its own.
func transformOnce(c *saramas.Context, source, target, group, name string, commits bool) {
	producer := transactional(c, name)
	defer producer.Close()
	members := check.Get(sarama.NewConsumerGroup([]string{c.Bootstrap}, group, committed()))
	defer members.Close()
	ctx, cancel := context.WithTimeout(context.Background(), 20*time.Second)
	defer cancel()
	mover := &mover{producer: producer, target: target, group: group, commits: commits, done: cancel}
	check.Must(members.Consume(ctx, []string{source}, mover))
	check.Must(mover.failure)
	check.Equal(mover.moved, 10, "records in the transaction")
}

// mover copies what it reads, and its position, in a transaction.
type mover struct {
	producer      sarama.SyncProducer
	target, group string
	commits       bool
	done          func()
	moved         int
	failure       error
}

func (m *mover) Setup(sarama.ConsumerGroupSession) error   { return nil }
func (m *mover) Cleanup(sarama.ConsumerGroupSession) error { return nil }

func (m *mover) ConsumeClaim(session sarama.ConsumerGroupSession, claim sarama.ConsumerGroupClaim) error {
	defer m.done()
	m.failure = m.move(claim)
	return nil
}

func (m *mover) move(claim sarama.ConsumerGroupClaim) error {
	if err := m.producer.BeginTxn(); err != nil {
		return err
	}
	for _, message := range saramas.Take(claim.Messages(), 10) {
		value := append([]byte("seen "), message.Value...)
		copied := &sarama.ProducerMessage{Topic: m.target, Value: sarama.ByteEncoder(value)}
		if _, _, err := m.producer.SendMessage(copied); err != nil {
			return err
		}
		if err := m.producer.AddMessageToTxn(message, m.group, nil); err != nil {
			return err
		}
		m.moved++
	}
	if m.commits {
		return m.producer.CommitTxn()
	}
	return m.producer.AbortTxn()
}

// Transactions with sarama.
package main

import (
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
	s.Check("a zombie is fenced by the next producer of its transactional id", func() { fencing(c) })
	return s
}

func transactional(c *saramas.Context, name string) sarama.SyncProducer {
	config := saramas.Config()
	config.Producer.Idempotent = true
	config.Producer.Transaction.ID = name
	config.Producer.Transaction.Timeout = 30 * time.Second
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

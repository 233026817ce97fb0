// Transactions with franz-go.
package main

import (
	"context"
	"fmt"
	"time"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kgo"

	"ottla/clients/check"
	"ottla/clients/franz"
)

func main() {
	check.Main(suite, nil)
}

func suite(bootstrap string) *check.Suite {
	s := check.NewSuite("franz-go transactions")
	c := franz.Connect(bootstrap)
	s.Check("a commit shows a transaction in every partition at once", func() { commit(c) })
	s.Check("an aborted transaction is never read", func() { abort(c) })
	s.Check("an open transaction holds back what comes after it", func() { lastStable(c) })
	s.Check("consume, transform, produce: exactly once over aborts and restarts", func() { transform(c) })
	s.Check("a zombie is fenced by the next producer of its transactional id", func() { fencing(c) })
	s.Check("a transaction that outlives its timeout is aborted", func() { timeout(c) })
	s.Check("describe and list transactions, describe producers", func() { describe(c) })
	return s
}

var committed = kgo.FetchIsolationLevel(kgo.ReadCommitted())

func transactional(c *franz.Context, name string, options ...kgo.Opt) *kgo.Client {
	return c.Client(append([]kgo.Opt{kgo.TransactionalID(name)}, options...)...)
}

// write sends records in a transaction that stays open.
func write(client *kgo.Client, topic string, partition int32, records []check.Record) {
	check.Get(franz.Send(client, topic, partition, records))
}

func commit(c *franz.Context) {
	topic := c.Topic(2, nil)
	client := transactional(c, check.Unique("txn"))
	defer client.Close()
	check.Must(client.BeginTransaction())
	records := check.Records(10, c.Base, "")
	write(client, topic, 0, records)
	write(client, topic, 1, records)
	check.Equal(len(c.Read(topic, 0, 0, 10)), 10, "read uncommitted before the commit")
	reader := c.Reader(topic, 0, 0, committed)
	franz.Silent(reader, "records of an open transaction")
	reader.Close()
	check.Must(client.EndTransaction(franz.Call(), kgo.TryCommit))
	for partition := range int32(2) {
		check.EqualRecords(franz.Content(c.Read(topic, partition, 0, 10, committed)), records)
	}
}

func abort(c *franz.Context) {
	topic := c.Topic(1, nil)
	client := transactional(c, check.Unique("txn"))
	defer client.Close()
	var expected []check.Record
	for i, end := range []kgo.TransactionEndTry{kgo.TryCommit, kgo.TryAbort, kgo.TryCommit, kgo.TryAbort, kgo.TryCommit} {
		check.Must(client.BeginTransaction())
		records := check.Records(5, c.Base, fmt.Sprint(i))
		write(client, topic, 0, records)
		check.Must(client.EndTransaction(franz.Call(), end))
		if end == kgo.TryCommit {
			expected = append(expected, records...)
		}
	}
	read := c.Read(topic, 0, 0, 15, committed)
	check.EqualRecords(franz.Content(read), expected)
	// Each end of a transaction is a record of its own.
	check.Equal(franz.Offsets(read), []int64{0, 1, 2, 3, 4, 12, 13, 14, 15, 16, 24, 25, 26, 27, 28}, "offsets")
	check.Equal(len(c.Read(topic, 0, 0, 25)), 25, "read uncommitted")
}

func lastStable(c *franz.Context) {
	topic := c.Topic(1, nil)
	client := transactional(c, check.Unique("txn"))
	defer client.Close()
	c.Fill(topic, 0, 3)
	check.Must(client.BeginTransaction())
	write(client, topic, 0, check.Records(2, c.Base, ""))
	c.Fill(topic, 0, 4)
	check.Equal(franz.Offsets(c.Read(topic, 0, 0, 3, committed)), []int64{0, 1, 2}, "before the transaction")
	reader := c.Reader(topic, 0, 3, committed)
	franz.Silent(reader, "records after an open transaction")
	reader.Close()
	found, _ := check.Get(c.Admin.ListCommittedOffsets(franz.Call(), topic)).Lookup(topic, 0)
	check.Equal(found.Offset, 3, "last stable offset")
	check.Must(client.EndTransaction(franz.Call(), kgo.TryAbort))
	after := franz.Offsets(c.Read(topic, 0, 0, 7, committed))
	check.Equal(after, []int64{0, 1, 2, 5, 6, 7, 8}, "after the abort")
}

func transform(c *franz.Context) {
	source, target, group, name := c.Topic(1, nil), c.Topic(1, nil), check.Unique("group"), check.Unique("txn")
	c.Fill(source, 0, 30)
	for _, try := range []kgo.TransactionEndTry{kgo.TryCommit, kgo.TryAbort, kgo.TryCommit, kgo.TryAbort, kgo.TryCommit} {
		transformOnce(c, source, target, group, name, try)
	}
	read := c.Read(target, 0, 0, 30, committed)
	for i, record := range check.Records(30, c.Base, "") {
		check.Equal(string(read[i].Value), "seen "+string(record.Value), fmt.Sprintf("record %d", i))
	}
	offsets := check.Get(c.Admin.FetchOffsets(franz.Call(), group))
	check.Equal(offsets[source][0].At, 30, "committed offset")
}

// transformOnce moves ten records in one transaction of a session of its own.
func transformOnce(c *franz.Context, source, target, group, name string, try kgo.TransactionEndTry) {
	options := []kgo.Opt{
		kgo.SeedBrokers(c.Bootstrap),
		kgo.RecordPartitioner(kgo.ManualPartitioner()),
		kgo.TransactionalID(name),
		kgo.FetchMaxWait(500 * time.Millisecond),
		committed,
		kgo.RequireStableFetchOffsets(),
		kgo.ConsumerGroup(group),
		kgo.ConsumeTopics(source),
		kgo.ConsumeResetOffset(kgo.NewOffset().AtStart()),
		kgo.SessionTimeout(check.SessionTimeout),
		kgo.HeartbeatInterval(check.HeartbeatInterval),
	}
	session := check.Get(kgo.NewGroupTransactSession(options...))
	defer session.Close()
	ctx, cancel := context.WithTimeout(context.Background(), 20*time.Second)
	defer cancel()
	fetches := session.PollRecords(ctx, 10)
	check.Must(fetches.Err())
	check.Must(session.Begin())
	count := 0
	for _, record := range fetches.Records() {
		value := append([]byte("seen "), record.Value...)
		result := session.ProduceSync(ctx, &kgo.Record{Topic: target, Key: record.Key, Value: value})
		check.Must(result.FirstErr())
		count++
	}
	check.Equal(count, 10, "records in the transaction")
	ended := check.Get(session.End(ctx, try))
	check.Equal(ended, bool(try), "committed")
}

func fencing(c *franz.Context) {
	topic, name := c.Topic(1, nil), check.Unique("txn")
	zombie := transactional(c, name)
	defer zombie.Close()
	check.Must(zombie.BeginTransaction())
	write(zombie, topic, 0, check.Records(3, c.Base, "zombie"))
	next := transactional(c, name)
	defer next.Close()
	check.Must(next.BeginTransaction())
	records := check.Records(3, c.Base, "next")
	write(next, topic, 0, records)
	err := zombie.EndTransaction(franz.Call(), kgo.TryCommit)
	if err == nil {
		panic("the zombie could commit")
	}
	check.Must(next.EndTransaction(franz.Call(), kgo.TryCommit))
	check.EqualRecords(franz.Content(c.Read(topic, 0, 0, 3, committed)), records)
}

func timeout(c *franz.Context) {
	topic := c.Topic(1, nil)
	client := transactional(c, check.Unique("txn"), kgo.TransactionTimeout(2*time.Second))
	defer client.Close()
	check.Must(client.BeginTransaction())
	write(client, topic, 0, check.Records(3, c.Base, ""))
	c.Fill(topic, 0, 2)
	check.Equal(franz.Offsets(c.Read(topic, 0, 0, 2, committed)), []int64{3, 4}, "records after the abort")
	if client.EndTransaction(franz.Call(), kgo.TryCommit) == nil {
		panic("a transaction that was aborted could be committed")
	}
}

func describe(c *franz.Context) {
	topic, name := c.Topic(1, nil), check.Unique("txn")
	client := transactional(c, name)
	defer client.Close()
	check.Must(client.BeginTransaction())
	write(client, topic, 0, check.Records(2, c.Base, ""))
	described := check.Get(check.Get(c.Admin.DescribeTransactions(franz.Call(), name)).On(name, nil))
	check.Must(described.Err)
	check.Equal(described.State, "Ongoing", "state")
	check.Equal(described.Topics.Lookup(topic, 0), true, "the topic is part of it")
	listed := check.Get(c.Admin.ListTransactions(franz.Call(), nil, []string{"Ongoing"}))
	check.Equal(listed[name].ProducerID, described.ProducerID, "listed producer id")
	var topics kadm.TopicsSet
	topics.Add(topic, 0)
	producers := check.Get(c.Admin.DescribeProducers(franz.Call(), topics)).SortedProducers()
	check.Equal(len(producers), 1, "producers")
	check.Equal(producers[0].ProducerID, described.ProducerID, "producer id")
	check.Equal(producers[0].CurrentTxnStartOffset, 0, "first offset of the transaction")
	check.Must(client.EndTransaction(franz.Call(), kgo.TryCommit))
	check.Eventually("the transaction is complete", 10*time.Second, func() bool {
		now := check.Get(check.Get(c.Admin.DescribeTransactions(franz.Call(), name)).On(name, nil))
		return now.State == "CompleteCommit"
	})
	unknown := check.Get(c.Admin.DescribeTransactions(franz.Call(), check.Unique("nobody"))).Sorted()
	check.Fails(unknown[0].Err, kerr.TransactionalIDNotFound)
}

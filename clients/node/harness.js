'use strict'
// What a Node suite needs: named checks with a time limit, sample records, group members.
//
// Prints one line per check and closes with `N passed, N failed`; exits with 0 only when nothing failed.

const { spawn } = require('node:child_process')
const { randomBytes } = require('node:crypto')
const { isDeepStrictEqual, inspect } = require('node:util')

const CHECK_MS_MAX = 60_000
const REBALANCE_MS_MAX = 30_000

const sleep = (ms) => new Promise((resolve) => setTimeout(resolve, ms))
const unique = (prefix) => `${prefix}-${randomBytes(4).toString('hex')}`

function equal(actual, expected, what = 'value') {
  if (!isDeepStrictEqual(actual, expected)) {
    throw new Error(`${what}: got ${inspect(actual, { depth: 5 })}, expected ${inspect(expected, { depth: 5 })}`)
  }
}

/** `promise` must fail with an error of this Kafka type. */
async function rejects(promise, type) {
  let error
  try {
    await promise
  } catch (caught) {
    error = caught
  }
  if (!error) throw new Error(`nothing failed, expected ${type}`)
  const types = [error, error.cause, ...(error.errors || [])].filter(Boolean).map((e) => e.type || e.name)
  if (!types.includes(type)) throw new Error(`failed with ${types} (${error.message}), expected ${type}`)
}

/** Polls until `condition()` is truthy and returns it. */
async function eventually(condition, what, ms = 15_000) {
  const deadline = Date.now() + ms
  for (;;) {
    const result = await condition()
    if (result) return result
    if (Date.now() > deadline) throw new Error(`not within ${ms} ms: ${what}`)
    await sleep(50)
  }
}

class Suite {
  constructor(name) {
    this.name = name
    this.checks = []
  }

  check(name, run) {
    this.checks.push({ name, run })
  }

  async run(context, only) {
    let passed = 0
    let failed = 0
    for (const { name, run } of this.checks.filter((check) => !only || check.name.includes(only))) {
      const started = Date.now()
      try {
        await withLimit(run(context))
        passed += 1
        console.log(`ok   ${this.name}: ${name} (${((Date.now() - started) / 1000).toFixed(1)} s)`)
      } catch (error) {
        failed += 1
        console.log(`     ${(error.stack || '').split('\n').slice(1, 4).join('\n     ')}`)
        console.log(`FAIL ${this.name}: ${name}: ${error.name}: ${error.message}`)
      }
    }
    console.log(`${passed} passed, ${failed} failed`)
    // The client's sockets and timers would keep the process alive.
    process.exit(failed === 0 && passed > 0 ? 0 : 1)
  }
}

function withLimit(promise) {
  let timer
  const limit = new Promise((_, reject) => {
    timer = setTimeout(() => reject(new Error(`still running after ${CHECK_MS_MAX} ms`)), CHECK_MS_MAX)
  })
  return Promise.race([promise, limit]).finally(() => clearTimeout(timer))
}

/** Records with every shape that one can have: no key, no value, empty, unicode. */
function sampleRecords(count, baseMs, tag = '') {
  return Array.from({ length: count }, (_, i) => ({
    key: i % 5 === 4 ? null : Buffer.from(`key-${tag}${i}`),
    value: i % 7 === 3 && i % 5 !== 4 ? null : Buffer.from(i % 7 === 5 ? '' : `value-${tag}${i}-é-`.repeat(1 + (i % 4) * 20)),
    headers: i % 3 === 0 ? { index: Buffer.from(String(i)), twice: [Buffer.from('1'), Buffer.from('2')] } : {},
    timestamp: String(baseMs + i * 10),
  }))
}

/**
 * A group member in a process of its own, so that it can be killed like one. It prints `assigned 0,2` when
 * its partitions change and `got PARTITION OFFSET` for each record; a closed standard input asks it to leave.
 */
class Member {
  constructor(program, args) {
    this.assigned = []
    this.got = new Set()
    this.log = []
    this.process = spawn(process.execPath, [program, 'member', ...args], { stdio: ['pipe', 'pipe', 'inherit'] })
    this.exited = new Promise((resolve) => this.process.once('exit', resolve))
    let rest = ''
    this.process.stdout.on('data', (data) => {
      const lines = (rest + data).split('\n')
      rest = lines.pop()
      lines.forEach((line) => this.read(line))
    })
  }

  read(line) {
    this.log.push(line)
    const [word, first = '', second] = line.split(' ')
    if (word === 'assigned') this.assigned = first ? first.split(',').map(Number) : []
    if (word === 'got') this.got.add(`${first} ${second}`)
  }

  async leave() {
    this.process.stdin.end()
    await this.exited
    this.assigned = []
  }

  async kill() {
    this.process.kill('SIGKILL')
    await this.exited
    this.assigned = []
  }
}

/** Resolves when the parent closes our standard input. */
function leaveRequest() {
  return new Promise((resolve) => {
    process.stdin.on('end', resolve)
    process.stdin.resume()
  })
}

/**
 * Three members share the partitions; one leaves, one is killed, and the last one has them all.
 * `produce(count)` appends `count` records to every partition and returns their `PARTITION OFFSET`s.
 */
async function groupOfThree(program, args, partitions, produce) {
  const members = [0, 1, 2].map((i) => new Member(program, [...args, `member-${i}`]))
  const [first, leaver, victim] = members
  const everything = Array.from({ length: partitions }, (_, i) => i)
  const sharedBy = (alive) =>
    alive.every((m) => m.assigned.length > 0) &&
    isDeepStrictEqual(alive.flatMap((m) => m.assigned).sort((a, b) => a - b), everything)
  const wait = async (condition, what) => {
    try {
      await eventually(condition, what, REBALANCE_MS_MAX)
    } catch (error) {
      throw new Error(`${error.message}; members: ${inspect(members.map((m) => m.log.slice(-6)))}`)
    }
  }
  try {
    await wait(() => sharedBy(members), 'three members share the partitions')
    let records = await produce(5)
    await wait(() => records.every((r) => members.some((m) => m.got.has(r))), 'three members got every record')
    await leaver.leave()
    await wait(() => sharedBy([first, victim]), 'two members share the partitions after a leave')
    await victim.kill()
    await wait(() => sharedBy([first]), 'one member has every partition after a death')
    records = await produce(5)
    await wait(() => records.every((r) => first.got.has(r)), 'the last member got every record')
    await first.leave()
  } finally {
    members.forEach((member) => member.process.kill('SIGKILL'))
  }
}

module.exports = { Suite, equal, rejects, eventually, sleep, unique, sampleRecords, leaveRequest, groupOfThree }

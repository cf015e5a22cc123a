//! Each server, driven by a client of its own over loopback: no other tools are needed. Each test starts its server and ends it.

use shards::counting::{Counting, Counts};
use shards::resp::{ARGS_MAX, BULK_MAX, bulk};
use shards::{By, Loop, Server};
use std::io::{BufRead, BufReader, ErrorKind, Read, Write};
use std::net::{Shutdown, SocketAddr, TcpStream};
use std::thread;
use std::time::Duration;

#[global_allocator]
static ALLOCATOR: Counting = Counting;

/// After which nothing is taken to come any more.
const HANG: Duration = Duration::from_secs(60);

struct Client {
    stream: BufReader<TcpStream>,
}

impl Client {
    fn new(address: SocketAddr) -> Self {
        let stream = TcpStream::connect(address).expect("it listens");
        stream.set_nodelay(true).expect("it is a socket");
        stream.set_read_timeout(Some(HANG)).expect("it is a socket");
        stream.set_write_timeout(Some(HANG)).expect("it is a socket");
        Self { stream: BufReader::new(stream) }
    }

    fn write(&mut self, bytes: &[u8]) {
        self.stream.get_mut().write_all(bytes).expect("it reads");
    }

    /// One reply, with the elements of an array, as it came.
    fn read(&mut self) -> String {
        let mut line = String::new();
        self.stream.read_line(&mut line).expect("it answers");
        let number = || line[1..].trim_end().parse::<i64>().expect("a number");
        match line.as_bytes().first() {
            Some(b'$') if number() >= 0 => {
                let mut value = vec![0; number() as usize + 2];
                self.stream.read_exact(&mut value).expect("it answers");
                line + std::str::from_utf8(&value).expect("ASCII was sent")
            }
            Some(b'*') => (0..number()).fold(line.clone(), |text, _| text + &self.read()),
            Some(_) => line,
            None => panic!("the connection is closed"),
        }
    }

    fn ask(&mut self, request: &str) -> String {
        self.write(&command(request));
        self.read()
    }

    fn ask_for_end(&mut self) -> Option<std::io::Error> {
        let mut rest = Vec::new();
        self.stream.read_to_end(&mut rest).err()
    }
}

/// A request: words divided by spaces.
fn command(request: &str) -> Vec<u8> {
    let words: Vec<_> = request.split(' ').collect();
    let mut bytes = format!("*{}\r\n", words.len()).into_bytes();
    words.iter().for_each(|word| bulk(&mut bytes, word.as_bytes()));
    bytes
}

fn text(value: &str) -> String {
    format!("${}\r\n{value}\r\n", value.len())
}

/// `n` and keys for it that are spread over all shards, for all that one can know from outside.
fn keys(n: usize) -> impl Iterator<Item = String> {
    (0..n).map(|n| format!("key:{n}"))
}

fn each_command(by: By) {
    let server = Server::start(by, 3, 0).unwrap();
    let mut client = Client::new(server.address());
    for key in keys(50) {
        assert_eq!(client.ask(&format!("GET {key}")), "$-1\r\n");
        assert_eq!(client.ask(&format!("SET {key} of-{key}")), "+OK\r\n");
        assert_eq!(client.ask(&format!("get {key}")), text(&format!("of-{key}")));
        assert_eq!(client.ask(&format!("INCR {key}")), "-ERR value is not an integer or out of range\r\n");
        assert_eq!(client.ask(&format!("SET {key} -1")), "+OK\r\n");
        assert_eq!(client.ask(&format!("INCR {key}")), ":0\r\n");
        assert_eq!(client.ask(&format!("Del {key}")), ":1\r\n");
        assert_eq!(client.ask(&format!("INCR {key}")), ":1\r\n");
        assert_eq!(client.ask(&format!("GET {key}")), text("1"));
        assert_eq!(client.ask(&format!("DEL {key}")), ":1\r\n");
        assert_eq!(client.ask(&format!("DEL {key}")), ":0\r\n");
    }
    assert_eq!(client.ask("PING"), "+PONG\r\n");
    assert_eq!(client.ask("PING there"), text("there"));
    assert_eq!(client.ask("CONFIG GET save"), format!("*2\r\n{}{}", text("save"), text("")));
    assert_eq!(client.ask("COMMAND DOCS"), "*0\r\n");
    for (bad, why) in [
        ("FLY", "-ERR unknown command\r\n"),
        ("GET", "-ERR wrong number of arguments, or an option that is not supported\r\n"),
        ("SET k", "-ERR wrong number of arguments, or an option that is not supported\r\n"),
        ("SET k v NX", "-ERR wrong number of arguments, or an option that is not supported\r\n"),
        ("MGET", "-ERR wrong number of arguments, or an option that is not supported\r\n"),
    ] {
        assert_eq!(client.ask(bad), why, "{bad}");
    }
    assert_eq!(client.ask("PING"), "+PONG\r\n", "an error of a command ends no connection");
    let counts = server.stop().unwrap();
    assert_eq!(counts.requests, 50 * 11 + 10);
    assert!(counts.foreign > 50 && counts.foreign < 50 * 11, "{counts:?}");
}

fn many_keys_at_once(by: By) {
    let server = Server::start(by, 3, 0).unwrap();
    let mut client = Client::new(server.address());
    for key in keys(100).step_by(2) {
        assert_eq!(client.ask(&format!("SET {key} {key}")), "+OK\r\n");
    }
    let all: Vec<_> = keys(100).collect();
    let values: String = keys(100)
        .enumerate()
        .map(|(n, key)| if n % 2 == 0 { text(&key) } else { "$-1\r\n".into() })
        .collect();
    assert_eq!(client.ask(&format!("MGET {}", all.join(" "))), format!("*100\r\n{values}"));
    assert_eq!(client.ask(&format!("DEL {}", all.join(" "))), ":50\r\n");
    assert_eq!(client.ask(&format!("DEL {}", all.join(" "))), ":0\r\n");
    assert_eq!(client.ask("MGET key:0 key:0"), "*2\r\n$-1\r\n$-1\r\n");
    server.stop().unwrap();
}

fn a_pipeline_is_answered_in_order(by: By) {
    let server = Server::start(by, 2, 0).unwrap();
    let mut client = Client::new(server.address());
    let (mut sent, mut expected) = (Vec::new(), Vec::new());
    // More than may wait at a time.
    for n in 0..2_000 {
        let key = format!("key:{}", n % 97);
        sent.extend(command(&format!("SET {key} value-{n}")));
        expected.push("+OK\r\n".to_owned());
        sent.extend(command(&format!("GET {key}")));
        expected.push(text(&format!("value-{n}")));
        sent.extend(command(&format!("PING {n}")));
        expected.push(text(&n.to_string()));
        sent.extend(command(&format!("MGET none {key}")));
        expected.push(format!("*2\r\n$-1\r\n{}", text(&format!("value-{n}"))));
        sent.extend(command("DEL x1 x2 x3 x4"));
        expected.push(":0\r\n".to_owned());
    }
    let mut writer = client.stream.get_ref().try_clone().unwrap();
    let writes = thread::spawn(move || writer.write_all(&sent).unwrap());
    for expected in expected {
        assert_eq!(client.read(), expected);
    }
    writes.join().unwrap();
    server.stop().unwrap();
}

fn requests_come_in_pieces(by: By) {
    let server = Server::start(by, 2, 0).unwrap();
    let mut client = Client::new(server.address());
    let request: Vec<u8> = keys(20).flat_map(|key| command(&format!("SET {key} in-pieces"))).collect();
    for byte in &request {
        client.write(&[*byte]);
    }
    (0..20).for_each(|_| assert_eq!(client.read(), "+OK\r\n"));
    let large = "x".repeat(BULK_MAX);
    for key in keys(4) {
        assert_eq!(client.ask(&format!("SET {key} {large}")), "+OK\r\n");
        assert_eq!(client.ask(&format!("GET {key}")), text(&large));
    }
    // The client has no more to say, and still wants its answers.
    client.write(&keys(8).flat_map(|key| command(&format!("GET {key}"))).collect::<Vec<_>>());
    client.stream.get_ref().shutdown(Shutdown::Write).unwrap();
    for n in 0..8 {
        assert_eq!(client.read(), text(if n < 4 { &large } else { "in-pieces" }));
    }
    assert!(client.ask_for_end().is_none());
    server.stop().unwrap();
}

fn bad_input_is_answered_and_closed(by: By) {
    let server = Server::start(by, 2, 0).unwrap();
    let mut good = Client::new(server.address());
    for (bad, why) in [
        (b"GET key\r\n".to_vec(), "expected an array of bulk strings"),
        (b"\0\xff\xfe".to_vec(), "expected an array of bulk strings"),
        (b"*1\r\n:1\r\n".to_vec(), "expected an array of bulk strings"),
        (b"*-1\r\n".to_vec(), "invalid length"),
        (b"*1\r\n$-1\r\n".to_vec(), "invalid length"),
        (vec![b'*'; 1 << 10], "invalid length"),
        ([&b"*"[..], &[b'0'; 100]].concat(), "invalid length"),
        (b"*1\r\n$4\r\nPINGxx".to_vec(), "expected CRLF after a bulk string"),
        (format!("*{}\r\n", ARGS_MAX + 1).into_bytes(), "request too large"),
        (format!("*2\r\n$3\r\nGET\r\n${}\r\n", BULK_MAX + 1).into_bytes(), "request too large"),
        (b"*1\r\n$99999999999999\r\n".to_vec(), "request too large"),
    ] {
        let mut client = Client::new(server.address());
        // What came before it is answered first, from other shards, too.
        client.write(&[command("MGET a b c d e f"), bad].concat());
        assert_eq!(client.read(), format!("*6\r\n{}", "$-1\r\n".repeat(6)));
        assert_eq!(client.read(), format!("-ERR Protocol error: {why}\r\n"));
        // Closed, with a reset if something of it was not read.
        if let Some(error) = client.ask_for_end() {
            assert_eq!(error.kind(), ErrorKind::ConnectionReset, "{why}");
        }
        assert_eq!(good.ask("PING"), "+PONG\r\n");
    }
    // The beginning of something: no answer, and no harm.
    let half = Client::new(server.address());
    half.stream.get_ref().write_all(b"*2\r\n$3\r\nGET\r\n$100\r\nhalf").unwrap();
    drop(half);
    assert_eq!(good.ask("PING"), "+PONG\r\n");
    server.stop().unwrap();
}

fn the_beginning_of_a_request_is_not_looked_at_until_more_comes(by: By) {
    let server = Server::start(by, 2, 0).unwrap();
    let halves = [(); 2].map(|()| {
        let half = Client::new(server.address());
        half.stream.get_ref().write_all(b"*2\r\n$3\r\nGET\r\n$100\r\nhalf").unwrap();
        half
    });
    let mut client = Client::new(server.address());
    let mut run = || (0..500).for_each(|_| assert_eq!(client.ask("GET key"), "$-1\r\n"));
    run();
    let before = server.counts().allocations;
    run();
    let counts = server.stop().unwrap();
    // Each look allocates. So do messages by channels and by tokio, a few for each request.
    let allowed = if let By::Smpcall(_) = by { 50 } else { 2_500 };
    assert!(counts.allocations - before < allowed, "{counts:?}, of which {before} before");
    drop(halves);
}

fn who_does_not_read_is_not_read_from(by: By) {
    let server = Server::start(by, 2, 0).unwrap();
    let mut client = Client::new(server.address());
    let large = "x".repeat(64 << 10);
    for key in keys(4) {
        assert_eq!(client.ask(&format!("SET {key} {large}")), "+OK\r\n");
    }
    // 512 MiB of replies, if the server were to make them all.
    const ROUNDS: usize = 2_048;
    let requests = keys(4).flat_map(|key| command(&format!("GET {key}"))).collect::<Vec<_>>().repeat(ROUNDS);
    let mut writer = client.stream.get_ref().try_clone().unwrap();
    let writes = thread::spawn(move || writer.write_all(&requests).unwrap());
    let mut other = Client::new(server.address());
    // Until the server has taken from this connection all that it wants to, and goes on with others.
    let (mut asked, mut before) = (0, 0);
    let taken = loop {
        (0..100).for_each(|_| assert_eq!(other.ask("GET key:1"), text(&large)));
        asked += 100;
        // Of the first connection; a shard may not have shown its last one yet.
        let taken = server.counts().requests.saturating_sub(4 + asked);
        if taken <= before + 1 {
            break taken;
        }
        before = taken;
    };
    assert!(taken < 2 * ROUNDS as u64, "{taken} were run, for all of which there is no room");
    for _ in 0..4 * ROUNDS {
        assert_eq!(client.read(), text(&large));
    }
    writes.join().unwrap();
    server.stop().unwrap();
}

fn many_connections(by: By) {
    let server = Server::start(by, 2, 0).unwrap();
    let mut clients: Vec<_> = (0..200).map(|_| Client::new(server.address())).collect();
    for round in 1..=5 {
        for client in &mut clients {
            client.write(&[command("INCR one"), command("INCR two"), command("INCR three")].concat());
        }
        for client in &mut clients {
            (0..3).for_each(|_| assert!(client.read().starts_with(':')));
        }
        let all = ["one", "two", "three"].map(|key| clients[0].ask(&format!("GET {key}")));
        assert_eq!(all, [(); 3].map(|()| text(&(200 * round).to_string())), "each is counted once");
        // Some go, without reading what they asked for; others come.
        for client in clients.iter_mut().step_by(3) {
            client.write(&keys(50).flat_map(|key| command(&format!("GET {key}"))).collect::<Vec<_>>());
            *client = Client::new(server.address());
        }
    }
    server.stop().unwrap();
}

fn it_ends_with_requests_under_way(by: By) {
    for shards in [1, 2, 4] {
        let server = Server::start(by, shards, 0).unwrap();
        let address = server.address();
        let clients: Vec<_> = (0..4)
            .map(|_| {
                let mut client = Client::new(address);
                let requests: Vec<u8> = keys(50).flat_map(|key| command(&format!("INCR {key}"))).collect();
                let mut writer = client.stream.get_ref().try_clone().unwrap();
                let writes = thread::spawn(move || while writer.write_all(&requests).is_ok() {});
                // Until the end of the connection, or a reset.
                let reads = thread::spawn(move || client.ask_for_end());
                (writes, reads)
            })
            .collect();
        while server.counts().requests < 2_000 {
            thread::yield_now();
        }
        let counts = server.stop().unwrap();
        assert!(counts.requests >= 2_000 && (counts.foreign > 0) == (shards > 1), "{counts:?}");
        for (writes, reads) in clients {
            writes.join().unwrap();
            if let Some(why) = reads.join().unwrap() {
                assert_eq!(why.kind(), ErrorKind::ConnectionReset, "and no time-out");
            }
        }
        assert!(TcpStream::connect(address).is_err(), "nobody listens any more");
    }
    // One that nobody has used, and one that is dropped.
    Server::start(by, 3, 0).unwrap().stop().unwrap();
    drop(Server::start(by, 3, 0).unwrap());
}

/// Runs a test, unless the system has no such loop.
fn run(by: By, test: fn(By)) {
    if let By::Smpcall(on) | By::Channel(on) = by
        && let Err(why) = on.is_here()
    {
        return eprintln!("SKIPPED: {why:#}");
    }
    test(by);
}

/// Returns what 20,000 requests for 16 keys cost, after as many that do not count.
fn counted(by: By) -> Counts {
    let server = Server::start(by, 2, 0).unwrap();
    let mut clients = [(); 4].map(|()| Client::new(server.address()));
    let requests: Vec<u8> = keys(16).flat_map(|key| command(&format!("SET {key} value"))).collect();
    let mut run = |rounds| {
        for _ in 0..rounds {
            clients.iter_mut().for_each(|client| client.write(&requests));
            for client in &mut clients {
                (0..16).for_each(|_| assert_eq!(client.read(), "+OK\r\n"));
            }
        }
    };
    run(313);
    let before = server.counts();
    run(313);
    let after = server.stop().unwrap();
    Counts {
        requests: after.requests - before.requests,
        foreign: after.foreign - before.foreign,
        allocations: after.allocations - before.allocations,
    }
}

fn a_question_allocates_nothing_by_smpcall_and_by_the_others_it_does(by: By) {
    let counts = counted(by);
    match by {
        // A few: a batch that is larger than any before.
        By::Smpcall(_) => {
            assert!(counts.foreign > 1_000 && counts.allocations * 50 < counts.foreign, "{counts:?}");
        }
        By::Channel(_) | By::Tokio => {
            assert!(counts.allocations >= counts.foreign, "the counter counts: {counts:?}");
        }
    }
}

macro_rules! servers {
    ($($by:ident: $server:expr, { $($test:ident),* })*) => {
        $(mod $by {
            use super::*;
            $(#[test] fn $test() { super::run($server, super::$test); })*
        })*
    };
    ($($test:ident),*) => {
        servers! {
            smpcall: By::Smpcall(Loop::Epoll), { $($test),* }
            smpcall_in_io_uring: By::Smpcall(Loop::Uring), { $($test),* }
            channel: By::Channel(Loop::Epoll), { $($test),* }
            channel_in_io_uring: By::Channel(Loop::Uring), { $($test),* }
            tokio: By::Tokio, { $($test),* }
        }
    };
}

servers!(
    each_command,
    many_keys_at_once,
    a_pipeline_is_answered_in_order,
    requests_come_in_pieces,
    the_beginning_of_a_request_is_not_looked_at_until_more_comes,
    bad_input_is_answered_and_closed,
    who_does_not_read_is_not_read_from,
    many_connections,
    it_ends_with_requests_under_way,
    a_question_allocates_nothing_by_smpcall_and_by_the_others_it_does
);

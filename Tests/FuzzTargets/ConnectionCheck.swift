import HTTPServer

/// Sends requests of a client in pieces, answers them in any order, and expects what a server that handles one request at a
/// time would send.
enum ConnectionCheck {
    private struct Sent {
        var path: String
        var text: String
        var answer: String
        var isSafe: Bool
        var isLast: Bool
    }

    static func problem(with bytes: [UInt8]) -> String? {
        var feed = ByteFeed(bytes)
        let requests = (0..<1 + feed.below(6)).map { request(number: $0, &feed) }
        let count = (requests.firstIndex(where: \.isLast) ?? requests.count - 1) + 1
        let expected = requests.prefix(count).map(\.answer).joined()
        let safe = Set(requests.filter(\.isSafe).map(\.path))

        var rest = Array(requests.map(\.text).joined().utf8)[...]
        var driver = MachineDriver()
        // A choice a step; when the choices are used up, all bytes, then all answers.
        while !rest.isEmpty || !driver.waiting.isEmpty {
            let isUnderWay = driver.waiting.count
            if !rest.isEmpty, isUnderWay == 0 || feed.chance(2) {
                let piece = rest.prefix(1 + feed.below(40))
                rest = rest.dropFirst(piece.count)
                driver.receive(Array(piece))
            } else {
                driver.answer(driver.waiting[feed.below(isUnderWay)].path)
            }
            let paths = driver.waiting.map(\.path)
            if paths.count > 1, !paths.allSatisfy(safe.contains) { return "\(paths) are under way together" }
            if !expected.hasPrefix(driver.sent) { return "\(driver.sent) is sent instead of \(expected)" }
        }
        if driver.sent != expected { return "\(driver.sent) is sent instead of \(expected)" }
        if !driver.faults.isEmpty { return "faults \(driver.faults)" }
        let closes = requests.contains(where: \.isLast)
        return closes == (driver.machine.closing != nil)
            ? nil : "the connection ends as \(driver.machine.closing as Any)"
    }

    private static func request(number: Int, _ feed: inout ByteFeed) -> Sent {
        let path = "/\(number)"
        let body = String(repeating: "b", count: feed.below(50))
        let isLast = feed.chance(6)
        let fields = "Host: x\r\n" + (isLast ? "Connection: close\r\n" : "")
        func answer(_ body: String, sendsBody: Bool = true) -> String {
            let text = MachineDriver.answer(body, isLast ? "Connection: close\r\n" : "")
            return sendsBody ? text : String(text.dropLast(body.utf8.count))
        }
        func sent(_ text: String, _ answer: String, isSafe: Bool = false) -> Sent {
            Sent(path: path, text: text, answer: answer, isSafe: isSafe, isLast: isLast)
        }
        switch feed.below(5) {
        case 0, 1: return sent("GET \(path) HTTP/1.1\r\n\(fields)\r\n", answer(path), isSafe: true)
        case 2: return sent("HEAD \(path) HTTP/1.1\r\n\(fields)\r\n", answer(path, sendsBody: false), isSafe: true)
        case 3:
            let length = "Content-Length: \(body.utf8.count)\r\n"
            return sent("PUT \(path) HTTP/1.1\r\n\(fields)\(length)\r\n\(body)\r\n", answer(path + body))
        default:
            let half = body.prefix(body.count / 2)
            let chunks = [String(half), String(body.dropFirst(half.count))].filter { !$0.isEmpty }.map {
                String($0.count, radix: 16) + ";a\r\n" + $0 + "\r\n"
            }
            let coding = "Transfer-Encoding: chunked\r\n"
            return sent(
                "POST \(path) HTTP/1.1\r\n\(fields)\(coding)\r\n\(chunks.joined())0\r\nA: b\r\n\r\n",
                answer(path + body))
        }
    }
}

import Foundation
import StockFormats
import StockQueuePostgres

/// A mail about one notification, or a digest of several: a text part and an HTML part with the same content.
///
/// Names of items come from outside. In the header fields they are in encoded words only, so no line break of theirs
/// can begin another field.
package struct MailMessage {
    /// What a mail says of one notification.
    package struct Line: Sendable {
        package var event: String
        package var store: String
        package var item: String
        package var location: String
        package var available: Int64
        package var threshold: Int64?
        /// What took the last units, for instance `order 1001`.
        package var cause: String?
        package var at: Timestamp

        package init(
            event: String, store: String, item: String, location: String, available: Int64, threshold: Int64?,
            cause: String?, at: Timestamp
        ) {
            self.event = event
            self.store = store
            self.item = item
            self.location = location
            self.available = available
            self.threshold = threshold
            self.cause = cause
            self.at = at
        }
    }

    package var to: String
    /// Empty: the mailer's default.
    package var from = ""
    package var lines: [Line] = []
    /// What is low or out now; nil where the mail is no daily digest.
    package var present: [Line]?
    /// Empty: no link.
    package var dashboardURL = ""
    /// The same for each attempt.
    package var messageID: String
    package var subscription: String
    package var timeZone = TimeZone(identifier: "UTC")!

    /// Notifications in full; further ones are counted.
    private static let linesMax = 500

    package init(to: String, messageID: String, subscription: String) {
        self.to = to
        self.messageID = messageID
        self.subscription = subscription
    }

    /// Whether a text can be the address of one mailbox.
    package static func isAddress(_ text: String) -> Bool {
        let parts = text.split(separator: "@", omittingEmptySubsequences: false)
        return parts.count == 2 && (1...64).contains(parts[0].utf8.count) && (1...255).contains(parts[1].utf8.count)
            && text.utf8.allSatisfy { $0 > 0x20 && $0 < 0x7f && !#",;:<>()[]\""#.utf8.contains($0) }
            && !text.hasPrefix("-")
    }

    /// The whole message, with CRLF at the ends of lines.
    package func text(date: Date) -> String {
        let boundary = "stockq-\(messageID.utf8.map { String($0, radix: 16) }.joined().suffix(40))"
        var head = ["To: \(to)"]
        if !from.isEmpty { head.append("From: \(from)") }
        head += [
            "Subject: \(Self.encodedWords(subject))", "Date: \(Self.mailDate(date))",
            "Message-ID: <\(messageID)@stockq.invalid>", "Auto-Submitted: auto-generated", "MIME-Version: 1.0",
            "Content-Type: multipart/alternative;\r\n boundary=\"\(boundary)\"",
        ]
        let parts = [("text/plain", plainText), ("text/html", html)].map { type, content in
            "--\(boundary)\r\nContent-Type: \(type); charset=utf-8\r\nContent-Transfer-Encoding: base64\r\n\r\n"
                + Data(content.utf8).base64EncodedString(options: [
                    .lineLength76Characters, .endLineWithCarriageReturn, .endLineWithLineFeed,
                ])
                + "\r\n"
        }
        return head.joined(separator: "\r\n") + "\r\n\r\n" + parts.joined() + "--\(boundary)--\r\n"
    }

    private var subject: String {
        if lines.count == 1, present == nil { return Self.sentence(lines[0]) }
        if lines.isEmpty { return "Stock: \(present?.count ?? 0) items are low or out of stock" }
        return "Stock: \(lines.count) notifications"
    }

    // MARK: content

    private static func place(_ line: Line) -> String {
        var text = line.item
        if line.location != "main" { text += " at \(line.location)" }
        return text + " (store \(line.store))"
    }

    private static func sentence(_ line: Line) -> String {
        switch line.event {
        case "stock.low": "\(place(line)) is low: \(line.available) left"
        case "stock.out": "\(place(line)) is out of stock"
        case "stock.back_in_stock": "\(place(line)) is back in stock: \(line.available)"
        case "stock.restocked": "\(place(line)) is restocked: \(line.available)"
        case "stock.test": "This is a test"
        default: "\(place(line)): \(line.available) left"
        }
    }

    private func details(_ line: Line) -> String {
        var facts: [String] = []
        if let threshold = line.threshold { facts.append("threshold \(threshold)") }
        facts.append("since \(local(line.at))")
        if let cause = line.cause { facts.append("by \(cause)") }
        return facts.joined(separator: ", ")
    }

    private func local(_ time: Timestamp) -> String {
        let formatter = DateFormatter()
        formatter.locale = Locale(identifier: "en_US_POSIX")
        formatter.timeZone = timeZone
        formatter.dateFormat = "yyyy-MM-dd HH:mm zzz"
        return formatter.string(from: time.date)
    }

    private var more: String? {
        lines.count > Self.linesMax ? "… and \(lines.count - Self.linesMax) more" : nil
    }

    private var plainText: String {
        var text = lines.prefix(Self.linesMax).map { "\(Self.sentence($0))\r\n  \(details($0))\r\n" }.joined(
            separator: "\r\n")
        if let more { text += "\r\n\(more)\r\n" }
        if let present {
            text += "\r\nLow or out now:\r\n"
            text += present.map { "  \(Self.place($0)): \($0.available)\(threshold($0))\r\n" }.joined()
            if present.isEmpty { text += "  nothing\r\n" }
        }
        if !dashboardURL.isEmpty { text += "\r\n\(dashboardURL)\r\n" }
        return text + "\r\nSent by stockq for the subscription \(subscription).\r\n"
    }

    private func threshold(_ line: Line) -> String { line.threshold.map { ", threshold \($0)" } ?? "" }

    private var html: String {
        var text = "<!DOCTYPE html><html><body>"
        for line in lines.prefix(Self.linesMax) {
            text += "<p><b>\(Self.escaped(Self.sentence(line)))</b><br>\(Self.escaped(details(line)))</p>"
        }
        if let more { text += "<p>\(more)</p>" }
        if let present {
            text += "<h3>Low or out now</h3><ul>"
            text += present.map { "<li>\(Self.escaped("\(Self.place($0)): \($0.available)\(threshold($0))"))</li>" }
                .joined()
            text += present.isEmpty ? "</ul><p>nothing</p>" : "</ul>"
        }
        if !dashboardURL.isEmpty {
            text += "<p><a href=\"\(Self.escaped(dashboardURL))\">Dashboard</a></p>"
        }
        return text + "<p>Sent by stockq for the subscription \(Self.escaped(subscription)).</p></body></html>"
    }

    private static func escaped(_ text: String) -> String {
        text.reduce(into: "") { result, character in
            switch character {
            case "&": result += "&amp;"
            case "<": result += "&lt;"
            case ">": result += "&gt;"
            case "\"": result += "&quot;"
            case "'": result += "&#39;"
            default: result.append(character)
            }
        }
    }

    // MARK: header fields

    /// A text as encoded words (RFC 2047), each of at most 75 characters, on lines of their own.
    static func encodedWords(_ text: String) -> String {
        var words: [String] = []
        var bytes: [UInt8] = []
        func flush() {
            if !bytes.isEmpty { words.append("=?UTF-8?B?\(Data(bytes).base64EncodedString())?=") }
            bytes = []
        }
        for scalar in text.unicodeScalars {
            let utf8 = Array(String(scalar).utf8)
            if bytes.count + utf8.count > 39 { flush() }
            bytes += utf8
        }
        flush()
        return words.joined(separator: "\r\n ")
    }

    /// The date of RFC 5322, in UTC.
    private static func mailDate(_ date: Date) -> String {
        let formatter = DateFormatter()
        formatter.locale = Locale(identifier: "en_US_POSIX")
        formatter.timeZone = TimeZone(identifier: "UTC")
        formatter.dateFormat = "EEE, dd MMM yyyy HH:mm:ss"
        return formatter.string(from: date) + " +0000"
    }
}

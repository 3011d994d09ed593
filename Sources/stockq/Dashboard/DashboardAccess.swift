import CommandLineKit
import DashboardPage
import Foundation
import HTTPServer
import StockGateway
import StockQueueMigrations

/// Who may see the dashboard, and who may act on it.
///
/// A caller presents a token as `Authorization: Bearer …`, or a proxy in front names the user in a field of the request.
/// Only the SHA-256 of a token is kept. No cookie is ever set, so a page of another origin has nothing to send along; what
/// a browser says about the origin of a request is checked all the same.
struct DashboardAccess: Sendable {
    enum Level: Int, Sendable, Comparable {
        case read, act

        static func < (left: Level, right: Level) -> Bool { left.rawValue < right.rawValue }
    }

    /// A caller that may do something.
    struct Caller: Sendable {
        let level: Level
        /// Who it is, as far as a proxy says so.
        let name: String?
    }

    /// The token for reading, as its digest.
    var readToken: [UInt8]?
    /// The token for acts too.
    var adminToken: [UInt8]?
    /// The field in which a proxy names the user that it has authenticated, in lower case.
    var userField: String?
    /// Fewer bytes could be guessed.
    static let tokenBytesMin = 20
    /// The field that a form or a link of another page cannot send.
    private static let actField: StaticString = "x-stockq-act"

    /// Reads a token from a file.
    static func token(in file: String) throws -> [UInt8] {
        guard let text = try? String(contentsOfFile: file, encoding: .utf8) else {
            throw Failure("cannot read the token from \(file): \(String(cString: strerror(errno)))")
        }
        let token = text.trimmingCharacters(in: .whitespacesAndNewlines)
        guard token.utf8.count >= tokenBytesMin, token.utf8.allSatisfy({ $0 > 0x20 && $0 < 0x7F }) else {
            throw Failure(
                "the token in \(file) needs at least \(tokenBytesMin) visible ASCII characters; make one with: openssl rand -hex 24 >\(file)"
            )
        }
        return SHA256.digest(of: Array(token.utf8))
    }

    // MARK: requests

    /// Finds out who asks.
    ///
    /// - Throws: 401 for a caller without a right token, 403 for a page of another origin or a caller that may only read.
    func check(_ head: RequestHead, for level: Level) throws -> Caller {
        let caller = try caller(head)
        if level == .act, head.field(Self.actField) == nil {
            throw HTTPFailure(.forbidden, "an act needs the field \(Self.actField)")
        }
        guard let caller else {
            throw HTTPFailure(
                .unauthorized, "present the dashboard's token as Authorization: Bearer",
                fields: ResponseFields().adding("WWW-Authenticate", #"Bearer realm="stockq dashboard""#))
        }
        guard caller.level >= level else {
            throw HTTPFailure(
                .forbidden,
                adminToken == nil
                    ? "this dashboard is read-only; start it with --admin-token-file to act here"
                    : "acts need the admin token")
        }
        return caller
    }

    /// Who asks; nil for a caller without a right token.
    ///
    /// - Throws: 403 for a page of another origin.
    func caller(_ head: RequestHead) throws -> Caller? {
        try checkOrigin(head)
        let user = userField.flatMap { name in
            // A field that comes twice says nothing: a client may have sent one of the two.
            let values = head.allFields.filter { $0.name.lowercased() == name }.map(\.value)
            return values.count == 1 && !values[0].isEmpty ? values[0] : nil
        }
        switch PresentedCredential(head, accepting: [.bearer]) {
        case .credential(let credential):
            let digest = SHA256.digest(of: Array(credential.token.utf8))
            if let adminToken, Self.isSame(digest, adminToken) { return Caller(level: .act, name: user) }
            if let readToken, Self.isSame(digest, readToken) { return Caller(level: .read, name: user) }
            return nil
        case .unreadable: return nil
        case .none: return user.map { Caller(level: .read, name: $0) }
        }
    }

    /// Takes the same time wherever the first difference is.
    private static func isSame(_ first: [UInt8], _ second: [UInt8]) -> Bool {
        first.count == second.count && zip(first, second).reduce(0) { $0 | ($1.0 ^ $1.1) } == 0
    }

    /// A browser says where a request comes from; a program says nothing. `Sec-Fetch-Site` is right behind a proxy with
    /// another host too, but browsers send it to trustworthy addresses only.
    private func checkOrigin(_ head: RequestHead) throws {
        if let site = head.field("sec-fetch-site") {
            guard ["same-origin", "none"].contains(site) else { throw Self.foreign }
        } else if let origin = head.field("origin") {
            guard let host = origin.split(separator: "/", maxSplits: 2).last, String(host) == head.authority else {
                throw Self.foreign
            }
        }
    }

    private static let foreign = HTTPFailure(.forbidden, "the request comes from a page of another origin")
}

/// The fields of every answer of the dashboard.
enum DashboardFields {
    /// What keeps a browser from running, loading or sending anything that is not the page's own.
    static let page: ResponseFields = {
        let policy = [
            "default-src 'none'", "script-src '\(hash(DashboardPage.script))'",
            "style-src '\(hash(DashboardPage.style))'", "connect-src 'self'", "img-src data:", "base-uri 'none'",
            "form-action 'none'", "frame-ancestors 'none'", "require-trusted-types-for 'script'",
            "trusted-types 'none'",
        ].joined(separator: "; ")
        return common.adding("Content-Type", "text/html; charset=utf-8").adding("Content-Security-Policy", policy)
    }()

    static let common = ResponseFields()
        .adding("Cache-Control", "no-store").adding("X-Content-Type-Options", "nosniff")
        .adding("Referrer-Policy", "no-referrer").adding("X-Frame-Options", "DENY")
        .adding("Cross-Origin-Resource-Policy", "same-origin").adding("Cross-Origin-Opener-Policy", "same-origin")

    static let json = common.adding("Content-Type", "application/json; charset=utf-8")
    /// A proxy must not collect the events.
    static let events = common.adding("Content-Type", "text/event-stream; charset=utf-8")
        .adding("X-Accel-Buffering", "no")

    private static func hash(_ text: [UInt8]) -> String {
        "sha256-" + Data(SHA256.digest(of: text)).base64EncodedString()
    }
}

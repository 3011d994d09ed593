import HTTPServer

/// The token that a caller presented, and how. It never appears in a description, and so in no log.
package struct Credential: Sendable, Hashable, CustomStringConvertible, CustomReflectable {
    /// How a client sends its token. All of these were seen on the wire.
    package enum Form: String, Sendable, Hashable {
        /// `Authorization: Bearer t`; the scheme in any case.
        case bearer
        /// `Authorization: Bearer: t`
        case bearerColon
        /// `Authorization: t`
        case bare
        /// `Authorization: Token token="t"`
        case tokenParameter
        /// `?token=t`
        case query
    }

    package let token: String
    package let form: Form

    package init(_ token: String, _ form: Form) {
        self.token = token
        self.form = form
    }

    package var description: String { "a token as \(form.rawValue)" }
    package var customMirror: Mirror { Mirror(self, children: ["form": form.rawValue]) }
}

/// What a request says about its caller.
package enum PresentedCredential: Sendable, Hashable {
    /// The request has neither a field nor a parameter for a token.
    case none
    /// It has one, without a token that can be read: blank, of another scheme, or twice.
    case unreadable
    case credential(Credential)

    /// Reads `Authorization`, then `?token=`. A token in the field comes first: the parameter is read only if there is
    /// no such field, or an empty one.
    ///
    /// - Parameter forms: those that the vendor's API knows; a token in another form is unreadable.
    package init(_ head: RequestHead, accepting forms: Set<Credential.Form>) {
        // What nearly all clients send.
        if let token = Self.plainBearer(head), forms.contains(.bearer) {
            self = .credential(Credential(token, .bearer))
            return
        }
        let values = head.fields(named: "authorization")
        let presented = values.count > 1 ? .unreadable : values.first.map { Self.authorization($0[...]) } ?? .none
        switch presented {
        case .credential(let credential): self = forms.contains(credential.form) ? presented : .unreadable
        case .unreadable: self = .unreadable
        case .none: self = Self.query(head, forms)
        }
    }

    /// The token of the only `Authorization` field, if that is `Bearer`, a space, and a token.
    private static func plainBearer(_ head: RequestHead) -> String? {
        guard let value = head.onlyFieldBytes("authorization"), value.count > 7,
            value.prefix(7).elementsEqual("Bearer ".utf8)
        else { return nil }
        let token = value.dropFirst(7)
        guard token.count <= tokenBytesMax, token.allSatisfy({ $0 > 0x20 && $0 < 0x7F }) else { return nil }
        return String(decoding: token, as: UTF8.self)
    }

    private static func query(_ head: RequestHead, _ forms: Set<Credential.Form>) -> PresentedCredential {
        let tokens = head.query.values("token")
        guard let token = tokens.first else {
            // A blank field is an attempt to authenticate.
            return head.fieldBytes("authorization") == nil ? .none : .unreadable
        }
        guard forms.contains(.query), tokens.count == 1, isToken(token) else { return .unreadable }
        return .credential(Credential(token, .query))
    }

    /// - Returns: `none` for a blank value.
    private static func authorization(_ value: Substring) -> PresentedCredential {
        let words = value.split(whereSeparator: { $0 == " " || $0 == "\t" })
        guard let first = words.first else { return .none }
        let scheme = first.lowercased()
        let credential: Credential? =
            switch (scheme, words.count) {
            case ("bearer", 2): Credential(String(words[1]), .bearer)
            case ("bearer:", 2): Credential(String(words[1]), .bearerColon)
            case ("token", 2): tokenParameter(words[1]).map { Credential($0, .tokenParameter) }
            case ("bearer", _), ("bearer:", _), ("token", _): nil
            case (_, 1): Credential(String(first), .bare)
            default: nil
            }
        guard let credential, isToken(credential.token) else { return .unreadable }
        return .credential(credential)
    }

    /// `token="t"` or `token=t`.
    private static func tokenParameter(_ text: Substring) -> String? {
        guard text.lowercased().hasPrefix("token=") else { return nil }
        let value = text.dropFirst("token=".count)
        guard value.hasPrefix("\"") else { return String(value) }
        guard value.count > 1, value.hasSuffix("\"") else { return nil }
        return String(value.dropFirst().dropLast())
    }

    private static let tokenBytesMax = 4_096

    private static func isToken(_ text: String) -> Bool {
        !text.isEmpty && text.utf8.count <= tokenBytesMax && text.utf8.allSatisfy { $0 > 0x20 && $0 < 0x7F }
    }
}

/// Who calls: the executor checks the credential, and slows down addresses that present wrong ones.
package struct Caller: Sendable, Hashable {
    /// nil: the caller presented none. Only stores that allow calls without a token answer it.
    package var credential: Credential?
    package var peer: PeerAddress
    /// Names the request in the log, where the answer names it too.
    package var requestID: String?

    package init(_ credential: Credential?, peer: PeerAddress) {
        self.credential = credential
        self.peer = peer
    }
}

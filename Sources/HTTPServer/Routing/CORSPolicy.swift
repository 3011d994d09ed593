/// Which pages of other origins may call the server from a browser (Fetch standard, "CORS protocol").
package struct CORSPolicy: Sendable {
    package enum Origins: Sendable, Equatable {
        case any
        case only(Set<String>)
    }

    package var origins: Origins
    /// How long a browser keeps the answer to a preflight.
    package var maxAgeSeconds: Int
    /// Fields of answers that a page may read.
    package var exposedFields: [String]

    package init(origins: Origins, maxAgeSeconds: Int = 86_400, exposedFields: [String] = []) {
        self.origins = origins
        self.maxAgeSeconds = maxAgeSeconds
        self.exposedFields = exposedFields
    }

    /// Adds what a browser needs to an answer. Nothing for a request without `Origin`, except `Vary`.
    func decorate(_ response: inout Response, _ head: RequestHead) {
        response.fields.append(Self.varies)
        guard let origin = allowed(head) else { return }
        response.fields.add("Access-Control-Allow-Origin", origin)
        if !exposedFields.isEmpty {
            response.fields.add("Access-Control-Expose-Headers", exposedFields.joined(separator: ", "))
        }
    }

    /// Adds the permissions that a preflight asks for: the fields that it names, and the methods of the path.
    func decoratePreflight(_ response: inout Response, _ head: RequestHead, _ methods: [HTTPMethod]) {
        guard allowed(head) != nil, head.field("access-control-request-method") != nil else { return }
        response.fields.add("Access-Control-Allow-Methods", methods.map(\.description).joined(separator: ", "))
        if let names = head.field("access-control-request-headers") {
            response.fields.add("Access-Control-Allow-Headers", names)
        }
        response.fields.add("Access-Control-Max-Age", String(maxAgeSeconds))
    }

    private static let varies = ResponseFields().adding("Vary", "Origin")

    private func allowed(_ head: RequestHead) -> String? {
        guard let origin = head.field("origin") else { return nil }
        switch origins {
        case .any: return "*"
        case .only(let origins): return origins.contains(origin) ? origin : nil
        }
    }
}

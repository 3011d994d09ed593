// `import StockQueue` is enough for a user of the library.
@_exported import StockFormats
@_exported import StockModel
@_exported import StockQueuePostgres

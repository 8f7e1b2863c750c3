// node server.js FOLDER: a tus server (https://tus.io) over plain HTTP that keeps uploads in FOLDER; prints its port.
// Ends when its standard input does, as with whoever started it.
'use strict'

const {Server} = require('@tus/server')
const {FileStore} = require('@tus/file-store')

const tus = new Server({path: '/files', datastore: new FileStore({directory: process.argv[2]})})
const http = tus.listen({host: '127.0.0.1', port: 0}, () => console.log(http.address().port))
process.stdin.on('end', () => process.exit(0)).resume()

package sigpipe

const restorerFlag = 0
